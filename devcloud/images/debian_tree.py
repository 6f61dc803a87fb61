"""A Debian as a tree of files, made of packages; no root's rights are needed for that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from devcloud.images import debs
from devcloud.images.image import GoldenImage

TOOLS = ("mmdebstrap",)
SUITE = "bookworm"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def install(image: GoldenImage, packages: Sequence[str], hook: str, root: Path) -> None:
    """Make a Debian of these packages; ``hook`` is a command run on it in the end, as ``$1``."""
    sources = next(file for file in SOURCES if file.exists())
    mode = "root" if os.geteuid() == 0 else "unshare"
    image.run(
        "mmdebstrap",
        f"--mode={mode}",
        "--variant=minbase",
        f"--architectures={debs.DEBIAN_ARCH[image.arch]}",
        f"--include={','.join(packages)}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
        f"--customize-hook={hook}",
        SUITE,
        str(root),
        str(sources),
    )


def boot_files(root: Path, folder: Path, syslinux: str) -> dict[str, Path]:
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
