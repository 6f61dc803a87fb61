"""Disk images in files: which form they have, how large they are, where they hold data.

A qcow2 is made raw by ``qemu-img`` (Debian's qemu-utils), in a sparse file of ``TMPDIR``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from colobus.errors import UnusableInput

MIB = 1 << 20
#: What is read at once: as much as one of RBD's objects holds.
CHUNK = 4 * MIB
#: Zeros are left out by blocks of this size.
BLOCK = 64 * 1024
_ZEROS = bytes(CHUNK)
_QCOW2 = b"QFI\xfb"
#: How files begin that would be of no use, taken as a raw disk.
_OTHERS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
}


def format_of(beginning: bytes) -> str:
    """Return ``raw`` or ``qcow2`` by a file's first bytes; raises `UnusableInput` for others."""
    for magic, name in _OTHERS.items():
        if beginning.startswith(magic):
            raise UnusableInput(f"it is {name}; give a raw image or a qcow2")
    return "qcow2" if beginning.startswith(_QCOW2) else "raw"


def whole_mib(size: int) -> int:
    """Return a size in bytes, rounded up to MiB."""
    return -(-size // MIB) * MIB


def runs_of_data(chunk: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of what isn't zero, by blocks."""
    if chunk == _ZEROS[: len(chunk)]:
        return
    begin: int | None = None
    for at in range(0, len(chunk), BLOCK):
        block = chunk[at : at + BLOCK]
        zero = block == _ZEROS[: len(block)]
        if not zero and begin is None:
            begin = at
        elif zero and begin is not None:
            yield begin, at
            begin = None
    if begin is not None:
        yield begin, len(chunk)


def chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield what a raw file holds with its place, in order; holes are passed over unread.

    Raises `UnusableInput` when the file ends before ``size``.
    """
    at = 0
    while (at := _next_data(file, at, size)) < size:
        file.seek(at)
        chunk = file.read(min(CHUNK - at % CHUNK, size - at))
        if not chunk:
            raise UnusableInput(f"the file has become shorter: it ends at {at} bytes of {size}")
        yield at, chunk
        at += len(chunk)


def _next_data(file: BinaryIO, at: int, size: int) -> int:
    """Return where data begins: the block that a file system says, else where we are."""
    try:
        found = os.lseek(file.fileno(), at, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole is left; else a device that knows no holes
        found = size if _is_hole(file, at, size) else at
    return max(at, found // BLOCK * BLOCK)


def _is_hole(file: BinaryIO, at: int, size: int) -> bool:
    try:
        return at < size and os.lseek(file.fileno(), at, os.SEEK_HOLE) == at
    except OSError:
        return False


@contextmanager
def opened_raw(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open an image as a raw disk, and give its size in bytes.

    Raises `UnusableInput` for what can't be read, is of another form, is empty, or is not whole
    without other files.
    """
    try:
        with path.open("rb") as file:
            if format_of(file.read(16)) == "raw":
                yield file, _size(file)
                return
        with (
            tempfile.TemporaryDirectory(prefix="colobus-image-") as folder,
            _converted(path, Path(folder)).open("rb") as file,
        ):
            yield file, _size(file)
    except UnusableInput as error:
        raise UnusableInput(f"{path}: {error}") from error
    except OSError as error:
        raise UnusableInput(f"{path} can't be read: {error}") from error


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)  # of a block device, too
    if not size:
        raise UnusableInput("it is empty")
    return size


def _converted(path: Path, folder: Path) -> Path:
    """Make a raw image; what a file names beside itself could be any file of this host."""
    described = json.loads(_qemu_img("info", "-f", "qcow2", "--output=json", _as_file(path)))
    more = described.get("format-specific", {}).get("data", {})
    for other in ("backing-filename", "data-file"):
        if name := described.get(other) or more.get(other):
            raise UnusableInput(f"it is not whole without another file, {name}")
    raw = folder / "raw"
    _qemu_img("convert", "-f", "qcow2", "-O", "raw", _as_file(path), _as_file(raw))
    return raw


def _as_file(path: Path) -> str:
    """Name a file so that qemu-img reads nothing else out of the name (``nbd:…``, ``json:…``)."""
    return f"file:{path.absolute()}"


def _qemu_img(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and names as `_as_file` writes them
            ["qemu-img", *arguments],  # noqa: S607 - the operator's PATH says which
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise UnusableInput("qcow2 needs qemu-img: install the package qemu-utils") from error
    except subprocess.CalledProcessError as error:
        raise UnusableInput(str(error.stderr).strip() or "qemu-img failed") from error
    return done.stdout
