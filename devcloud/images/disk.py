"""Put a disk together from files, without mounting anything: no loop device is needed, nor root."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcloud.images.image import GoldenImage

SECTOR = 512
BOOT_SECTOR = 2048
BOOT_RECORD = Path("/usr/lib/SYSLINUX/mbr.bin")
BOOT_RECORD_BYTES = 440  # what follows in the sector is the partition table
TOOLS = ("dosfstools", "e2fsprogs", "fdisk", "mtools", "syslinux")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a disk with a boot partition and a root file system."""

    boot_mib: int
    root_mib: int
    label: str
    #: The boot partition's type: FAT16 for a BIOS, or an EFI system partition.
    boot_type: str = "e"

    @property
    def root_sector(self) -> int:
        """Where the second partition begins."""
        return BOOT_SECTOR + self.boot_mib * MIB // SECTOR

    def table(self) -> str:
        """Return the partition table for sfdisk: FAT to boot from, and Linux."""
        boot = f"start={BOOT_SECTOR}, size={self.boot_mib * MIB // SECTOR}, type={self.boot_type}"
        return f"label: dos\n{boot}, bootable\nstart={self.root_sector}, type=83\n"


def bios_disk(
    image: GoldenImage, folder: Path, layout: Layout, boot: Mapping[str, Path], root: Path
) -> Path:
    """Return a disk for BIOS: syslinux, which finds its settings and kernel among `boot`.

    Args:
        image: Whose build this is.
        folder: Where to work.
        layout: Sizes.
        boot: Files of the boot partition by their names there.
        root: The tree of the root file system.
    """
    disk = _partitioned(image, folder, layout, boot)
    _overwrite(disk, 0, BOOT_RECORD.read_bytes()[:BOOT_RECORD_BYTES])
    image.run("syslinux", "--install", "--offset", str(BOOT_SECTOR * SECTOR), str(disk))
    _copy_root(image, folder, layout, root, disk)
    return disk


def uefi_disk(
    image: GoldenImage, folder: Path, layout: Layout, boot: Mapping[str, Path], root: Path
) -> Path:
    """Return a disk for UEFI, which starts what is called `EFI/BOOT/BOOT….EFI` among `boot`.

    The arguments are those of `bios_disk`.
    """
    disk = _partitioned(image, folder, layout, boot)
    _copy_root(image, folder, layout, root, disk)
    return disk


def _partitioned(
    image: GoldenImage, folder: Path, layout: Layout, boot: Mapping[str, Path]
) -> Path:
    """Make a disk with both partitions, and fill the one to boot from."""
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(layout.root_sector * SECTOR + layout.root_mib * MIB)
    table = folder / "table"
    table.write_text(layout.table())
    image.run("sh", "-c", f"sfdisk --quiet {disk} < {table}")
    blocks = str(layout.boot_mib * 1024)
    image.run("mkfs.vfat", "-F16", "-n", "BOOT", f"--offset={BOOT_SECTOR}", str(disk), blocks)
    place = f"{disk}@@{BOOT_SECTOR * SECTOR}"
    parents = {str(parent) for name in boot for parent in Path(name).parents} - {"."}
    for parent in sorted(parents):
        image.run("mmd", "-i", place, f"::{parent}")
    for name, source in boot.items():
        image.run("mcopy", "-i", place, str(source), f"::{name}")
    return disk


def _copy_root(image: GoldenImage, folder: Path, layout: Layout, root: Path, disk: Path) -> None:
    """Fill the second partition. The journal is added last: mke2fs would write it out in full."""
    file_system = folder / "root.ext4"
    with file_system.open("wb") as file:
        file.truncate(layout.root_mib * MIB)
    owner = "root_owner=0:0"
    options = ["-q", "-F", "-t", "ext4", "-L", layout.label, "-E", owner, "-d", str(root)]
    image.run("mke2fs", *options, "-O", "^has_journal", str(file_system))
    image.run("tune2fs", "-O", "has_journal", str(file_system))
    seek = layout.root_sector * SECTOR // MIB
    copy = [f"if={file_system}", f"of={disk}", "bs=1M", f"seek={seek}"]
    image.run("dd", *copy, "conv=notrunc,sparse", "status=none")
    shutil.rmtree(root)
    file_system.unlink()


def _overwrite(file: Path, position: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(position)
        opened.write(content)
