"""`debian`: a Debian 12 as a cloud has it, with cloud-init and ssh, but for a root on iSCSI."""

from __future__ import annotations

from pathlib import Path

from devcloud.images import disk
from devcloud.images.debian_tree import DebianTree

PACKAGES = (
    "busybox",
    "cloud-init",
    "curl",
    "e2fsprogs",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "open-iscsi",
    "openssh-server",
    "procps",
    "sudo",
    "systemd-sysv",
    "udev",
)
LAYOUT = disk.Layout(boot_mib=63, root_mib=1472, label="colobus-root")
#: `ip=off` is not among them: the initramfs sets the network up, from the firmware's table.
SYSLINUX = """\
SERIAL 0 115200
DEFAULT debian
PROMPT 0
LABEL debian
 KERNEL vmlinuz
 APPEND initrd=initrd.gz root=LABEL=colobus-root ro rootwait iscsi_auto console=ttyS0,115200 \
net.ifnames=0 quiet loglevel=3 apparmor=0 audit=0 mitigations=off tsc=reliable no_timer_check
"""


class DebianImage(DebianTree):
    """The image of the extended tests: what users would run."""

    name = "debian"
    scripts = Path(__file__).with_name("debian")
    packages = PACKAGES
    layout = LAYOUT
    syslinux = SYSLINUX
