"""`debian`: a Debian 12 as a cloud has it, with cloud-init and ssh, but for a root on iSCSI."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from devcloud.images import debs, disk
from devcloud.images.image import GoldenImage, contents

SCRIPTS = Path(__file__).with_name("debian")
SUITE = "bookworm"
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
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
LAYOUT = disk.Layout(boot_mib=63, root_mib=1472, label="colobus-root")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
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
    tools: ClassVar[tuple[str, ...]] = (*disk.TOOLS, "mmdebstrap")

    def packages(self) -> list[str]:
        """Return what is asked for; the rest comes as dependencies."""
        return [f"linux-image-cloud-{debs.DEBIAN_ARCH[self.arch]}", *PACKAGES]

    def inputs(self) -> Iterable[bytes]:
        """Return the versions of what is asked for, and everything of ours."""
        yield from (f"{deb.file} {deb.digest}".encode() for deb in debs.resolve(self.packages()))
        own = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]
        yield from contents([Path(__file__), Path(disk.__file__), *own])

    def assemble(self, folder: Path) -> Path:
        """Install a tree, then divide it into a boot partition and a root."""
        root = folder / "system"
        sources = next(file for file in SOURCES if file.exists())
        hook = f'{SCRIPTS / "customize"} {SCRIPTS / "overlay"} "$1"'
        mode = "root" if os.geteuid() == 0 else "unshare"
        self.run(
            "mmdebstrap",
            f"--mode={mode}",
            "--variant=minbase",
            f"--architectures={debs.DEBIAN_ARCH[self.arch]}",
            f"--include={','.join(self.packages())}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            f"--customize-hook={hook}",
            SUITE,
            str(root),
            str(sources),
        )
        boot = {
            "vmlinuz": _taken(root / "boot", "vmlinuz-*", folder),
            "initrd.gz": _taken(root / "boot", "initrd.img-*", folder),
            "syslinux.cfg": folder / "syslinux.cfg",
        }
        boot["syslinux.cfg"].write_text(SYSLINUX)
        return disk.bios_disk(self, folder, LAYOUT, boot, root)


def _taken(folder: Path, pattern: str, target: Path) -> Path:
    """Move the one file that matches out of the tree."""
    (found,) = folder.glob(pattern)
    return found.rename(target / found.name)
