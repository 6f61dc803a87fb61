"""`ceph-iscsi`: the machine that the real ceph-iscsi runs in, since this one's kernel has no LIO.

No golden image: nobody clones it. What it shares with them is how it is built and kept.
"""

from __future__ import annotations

from pathlib import Path

from devcloud.images import disk
from devcloud.images.debian_tree import DebianTree

PACKAGES = (
    "ceph-common",
    "ceph-iscsi",
    "dbus",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "nftables",
    "procps",
    "tcmu-runner",
)
LAYOUT = disk.Layout(boot_mib=63, root_mib=1984, label="ceph-iscsi")
SYSLINUX = """\
SERIAL 0 115200
DEFAULT gateway
PROMPT 0
LABEL gateway
 KERNEL vmlinuz
 APPEND initrd=initrd.gz root=/dev/vda2 rw init=/usr/local/sbin/told-init console=ttyS0,115200 \
net.ifnames=0 quiet loglevel=3 panic=5 apparmor=0 audit=0 mitigations=off tsc=reliable \
no_timer_check
"""


class CephIscsiImage(DebianTree):
    """Debian's kernel, which has LIO, with ceph-iscsi and tcmu-runner."""

    name = "ceph-iscsi"
    scripts = Path(__file__).with_name("ceph_iscsi")
    packages = PACKAGES
    layout = LAYOUT
    syslinux = SYSLINUX
