"""`ceph-iscsi`: the machine that the real ceph-iscsi runs in, since this one's kernel has no LIO.

No golden image: nobody clones it. What it shares with them is how it is built and kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from devcloud.images import debian_tree, debs, disk
from devcloud.images.image import GoldenImage, contents

SCRIPTS = Path(__file__).with_name("ceph_iscsi")
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


class CephIscsiImage(GoldenImage):
    """Debian's kernel, which has LIO, with ceph-iscsi and tcmu-runner."""

    name = "ceph-iscsi"
    tools: ClassVar[tuple[str, ...]] = (*disk.TOOLS, *debian_tree.TOOLS)

    def packages(self) -> list[str]:
        """Return what is asked for; the rest comes as dependencies."""
        return [f"linux-image-cloud-{debs.DEBIAN_ARCH[self.arch]}", *PACKAGES]

    def inputs(self) -> Iterable[bytes]:
        """Return the versions of what is asked for, and everything of ours."""
        yield from (f"{deb.file} {deb.digest}".encode() for deb in debs.resolve(self.packages()))
        modules = [Path(__file__), Path(debian_tree.__file__), Path(disk.__file__)]
        yield from contents([*modules, *sorted(SCRIPTS.iterdir())])

    def assemble(self, folder: Path) -> Path:
        """Install a tree, then divide it into a boot partition and a root."""
        root = folder / "system"
        debian_tree.install(self, self.packages(), f'{SCRIPTS / "customize"} "$1"', root)
        boot = debian_tree.boot_files(root, folder, SYSLINUX)
        return disk.bios_disk(self, folder, LAYOUT, boot, root)
