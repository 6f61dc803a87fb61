# The first process of the gateway's VM, and all that it has of an init: every unit would cost time
# where the processor is emulated. What it is told comes from QEMU (fw_cfg).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1
ulimit -n 1048576

modprobe -a virtio_net virtio_rng configfs target_core_mod iscsi_target_mod target_core_user
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
told=/sys/firmware/qemu_fw_cfg/by_name/opt/org.colobus
mkdir -p /etc/ceph /etc/rtslib-fb-target /run/ceph /run/dbus /run/lock
for name in ceph.conf keyring iscsi-gateway.cfg; do cat "$told/$name/raw" > "/etc/ceph/$name"; done
cat "$told/hosts/raw" > /etc/hosts
hostname "$(cat "$told/hostname/raw")"

ip link set lo up
ip link set eth0 up
while read -r address device; do ip address add "$address" dev "$device"; done < "$told/addresses/raw"
ip route add default via 10.0.2.2
# Connections to loopback addresses come in and go out here, see `nftables`.
sysctl -q -w net.ipv4.conf.all.route_localnet=1
cat "$told/nftables/raw" | nft -f -

dbus-uuidgen --ensure
dbus-daemon --system --fork
touch /var/log/tcmu-runner.log
tail -F /var/log/tcmu-runner.log &
while :; do tcmu-runner; echo "tcmu-runner ended: $?"; sleep 1; done &
while :; do rbd-target-api; echo "rbd-target-api ended: $?"; sleep 1; done
