"""`debian`: a Debian 12 as a cloud has it, with cloud-init and ssh, but for a root on iSCSI."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from devcloud.images import debian_tree, debs, disk
from devcloud.images.image import GoldenImage, contents

SCRIPTS = Path(__file__).with_name("debian")
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


class DebianImage(GoldenImage):
    """The image of the extended tests: what users would run."""

    name = "debian"
    tools: ClassVar[tuple[str, ...]] = (*disk.TOOLS, *debian_tree.TOOLS)

    def packages(self) -> list[str]:
        """Return what is asked for; the rest comes as dependencies."""
        return [f"linux-image-cloud-{debs.DEBIAN_ARCH[self.arch]}", *PACKAGES]

    def inputs(self) -> Iterable[bytes]:
        """Return the versions of what is asked for, and everything of ours."""
        yield from (f"{deb.file} {deb.digest}".encode() for deb in debs.resolve(self.packages()))
        own = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]
        modules = [Path(__file__), Path(debian_tree.__file__), Path(disk.__file__)]
        yield from contents([*modules, *own])

    def assemble(self, folder: Path) -> Path:
        """Install a tree, then divide it into a boot partition and a root."""
        root = folder / "system"
        hook = f'{SCRIPTS / "customize"} {SCRIPTS / "overlay"} "$1"'
        debian_tree.install(self, self.packages(), hook, root)
        boot = debian_tree.boot_files(root, folder, SYSLINUX)
        return disk.bios_disk(self, folder, LAYOUT, boot, root)
