"""`tiny`: the smallest real Linux that boots from a network disk; seconds, even when emulated.

Debian's kernel with busybox. Its initramfs does what a distribution's does: it reads the firmware's
table (iBFT), logs in to the target by itself with what it finds there, and mounts its root from it.
Then it says on the console what it has seen, for tests to read.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from devcloud.images import debs, disk
from devcloud.images.archive import OWN, lists_of
from devcloud.images.image import GoldenImage, contents

SCRIPTS = Path(__file__).with_name("tiny")
MODULES = (
    "virtio_pci",
    "virtio_net",
    "iscsi_tcp",
    "iscsi_ibft",
    "sd_mod",
    "crc32c_generic",
    "ext4",
    "isofs",
)
LIBRARIES = {
    "libc6": ("lib*/ld-linux-*.so.*", "lib/*/libc.so.6"),
    "libssl3": ("usr/lib/*/libcrypto.so.3",),
    "libkmod2": ("lib/*/libkmod.so.2", "usr/lib/*/libkmod.so.2"),
    "libopeniscsiusr": ("usr/lib/*/libopeniscsiusr.so.0.*",),
    "libzstd1": ("usr/lib/*/libzstd.so.1",),
    "liblzma5": ("lib/*/liblzma.so.5", "usr/lib/*/liblzma.so.5"),
}
LAYOUT = disk.Layout(boot_mib=23, root_mib=24, label="colobus-root")
SYSLINUX = """\
SERIAL 0 115200
DEFAULT tiny
PROMPT 0
LABEL tiny
 KERNEL vmlinuz
 APPEND initrd=initrd.gz console=ttyS0,115200 quiet loglevel=3 panic=5 net.ifnames=0 \
mitigations=off tsc=reliable no_timer_check
"""
#: Kernels for arm64 are not compressed.
UEFI_LAYOUT = disk.Layout(boot_mib=95, root_mib=24, label="colobus-root", boot_type="ef")
UEFI_LOADER = "systemd-boot-efi"
SYSTEMD_BOOT = """\
title tiny
linux /vmlinuz
initrd /initrd.gz
options console=ttyAMA0 quiet loglevel=3 panic=5 net.ifnames=0 mitigations=off
"""


class TinyImage(GoldenImage):
    """The image of the tests and the demo."""

    name = "tiny"
    tools: ClassVar[tuple[str, ...]] = (*disk.TOOLS, "cpio", "kmod")

    def debs(self) -> list[debs.Deb]:
        """Return the packages it is made of."""
        kernel = f"linux-image-cloud-{debs.DEBIAN_ARCH[self.arch]}"
        names = [debs.depended_on(kernel, "linux-image-", self._apt), "busybox-static"]
        loaders = [] if self._bios else [UEFI_LOADER]
        return debs.resolve([*names, "open-iscsi", *loaders, *LIBRARIES], self._apt)

    @property
    def _bios(self) -> bool:
        return self.arch == "x86_64"

    @cached_property
    def _apt(self) -> list[str]:
        """Return how apt is asked for packages of the image's architecture."""
        if self.arch == platform.machine():
            return []
        arch = debs.DEBIAN_ARCH[self.arch]
        return lists_of(self.site.paths.cache / "images" / f"apt-{arch}", OWN, arch)

    def inputs(self) -> Iterable[bytes]:
        """Return the packages, the scripts and the settings."""
        yield from (f"{deb.file} {deb.digest}".encode() for deb in self.debs())
        own = [Path(__file__), Path(disk.__file__), *sorted(SCRIPTS.iterdir())]
        yield from contents(own)

    def assemble(self, folder: Path) -> Path:
        """Unpack, pick, and put the disk together."""
        packages = debs.unpack(self.debs(), folder, self._apt)
        boot = {
            "vmlinuz": next((packages / "boot").glob("vmlinuz-*")),
            "initrd.gz": self._initramfs(packages, folder),
        }
        root = self._root(packages, folder)
        if self._bios:
            boot["syslinux.cfg"] = _text(folder / "syslinux.cfg", SYSLINUX)
            return disk.bios_disk(self, folder, LAYOUT, boot, root)
        (loader,) = packages.glob("usr/lib/systemd/boot/efi/systemd-boot*.efi")
        boot[f"EFI/BOOT/BOOT{loader.stem.removeprefix('systemd-boot').upper()}.EFI"] = loader
        boot["loader/loader.conf"] = _text(folder / "loader.conf", "timeout 0\n")
        boot["loader/entries/tiny.conf"] = _text(folder / "tiny.conf", SYSTEMD_BOOT)
        return disk.uefi_disk(self, folder, UEFI_LAYOUT, boot, root)

    def _root(self, packages: Path, folder: Path) -> Path:
        tree = folder / "system"
        for name in ("bin", "dev", "etc", "mnt", "proc", "run", "sbin", "sys", "tmp", "var"):
            (tree / name).mkdir(parents=True)
        shutil.copy(packages / "bin" / "busybox", tree / "bin" / "busybox")
        _script("system-init", tree / "sbin" / "init")
        return tree

    def _initramfs(self, packages: Path, folder: Path) -> Path:
        tree = folder / "initramfs"
        for name in ("bin", "dev", "modules", "proc", "root", "run", "sys"):
            (tree / name).mkdir(parents=True)
        debs.copy(packages, tree, ["bin/busybox", "sbin/iscsistart"])
        for patterns in LIBRARIES.values():
            found = [p for p in patterns if any(packages.glob(p))]
            debs.copy(packages, tree, found or patterns)
        for number, module in enumerate(self._modules(packages)):
            shutil.copy(module, tree / "modules" / f"{number:02}-{module.name}")
        _script("initramfs-init", tree / "init")
        archive = folder / "initrd.gz"
        pack = f"find . | cpio --create --format=newc --owner=0:0 --quiet | gzip -9 > {archive}"
        self.run("sh", "-c", pack, cwd=tree)
        return archive

    def _modules(self, packages: Path) -> list[Path]:
        """Return the modules' files and those they need, in the order of loading."""
        version = next((packages / "lib" / "modules").iterdir()).name
        self.run("depmod", "--basedir", str(packages), version)
        found: dict[Path, None] = {}
        for module in MODULES:
            ask = ["modprobe", "-d", str(packages), "-S", version, "--show-depends", module]
            path = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
            shown = subprocess.run(ask, capture_output=True, text=True, check=True, env=path)
            lines = [line.split() for line in shown.stdout.splitlines()]
            found |= {Path(words[1]): None for words in lines if words[0] == "insmod"}
        return list(found)


def _script(name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPTS / name, target)
    target.chmod(0o755)


def _text(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
