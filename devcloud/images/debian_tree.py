"""A Debian as a disk image, made of packages; no root's rights are needed for that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from devcloud.images import debs, disk
from devcloud.images.image import GoldenImage, contents

SUITE = "bookworm"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


class DebianTree(GoldenImage):
    """A tree of packages, customized by a script, on a disk with a boot partition and a root.

    ``scripts`` is a folder with the program `customize`, which is run on the finished tree.
    """

    tools: ClassVar[tuple[str, ...]] = (*disk.TOOLS, "mmdebstrap")
    scripts: ClassVar[Path]
    packages: ClassVar[tuple[str, ...]]
    """What is asked for beside a kernel; the rest comes as dependencies."""
    layout: ClassVar[disk.Layout]
    syslinux: ClassVar[str]

    def inputs(self) -> Iterable[bytes]:
        """Return the versions of what is asked for, and everything of ours."""
        found = debs.resolve(self._packages())
        yield from (f"{deb.file} {deb.digest}".encode() for deb in found)
        own = [path for path in sorted(self.scripts.rglob("*")) if path.is_file()]
        module = sys.modules[type(self).__module__].__file__
        modules = [Path(module or ""), Path(__file__), Path(disk.__file__)]
        yield from contents([*modules, *own])

    def assemble(self, folder: Path) -> Path:
        """Install the tree, then divide it into a boot partition and a root."""
        root = folder / "system"
        self._install(root)
        boot = _boot_files(root, folder, self.syslinux)
        return disk.bios_disk(self, folder, self.layout, boot, root)

    def _packages(self) -> list[str]:
        return [f"linux-image-cloud-{debs.DEBIAN_ARCH[self.arch]}", *self.packages]

    def _install(self, root: Path) -> None:
        sources = next(file for file in SOURCES if file.exists())
        mode = "root" if os.geteuid() == 0 else "unshare"
        self.run(
            "mmdebstrap",
            f"--mode={mode}",
            "--variant=minbase",
            f"--architectures={debs.DEBIAN_ARCH[self.arch]}",
            f"--include={','.join(self._packages())}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            f'--customize-hook={self.scripts / "customize"} "$1"',
            SUITE,
            str(root),
            str(sources),
        )


def _boot_files(root: Path, folder: Path, syslinux: str) -> dict[str, Path]:
    """Move the kernel and its initramfs out of the tree; return all files of a boot partition."""
    settings = folder / "syslinux.cfg"
    settings.write_text(syslinux)
    return {
        "vmlinuz": _taken(root / "boot", "vmlinuz-*", folder),
        "initrd.gz": _taken(root / "boot", "initrd.img-*", folder),
        "syslinux.cfg": settings,
    }


def _taken(folder: Path, pattern: str, target: Path) -> Path:
    """Move the one file that matches out of the tree."""
    (found,) = folder.glob(pattern)
    return found.rename(target / found.name)
