"""Disk images in files: their form, their size, and where they hold data."""

from __future__ import annotations

from pathlib import Path

import pytest

from colobus.errors import UnusableInput
from colobus.image_files import (
    BLOCK,
    CHUNK,
    MIB,
    chunks,
    format_of,
    opened_raw,
    runs_of_data,
    whole_mib,
)


@pytest.mark.parametrize(
    ("beginning", "form"), [(b"QFI\xfb\0\0\0\3", "qcow2"), (b"\xeb\x63\x90", "raw"), (b"", "raw")]
)
def test_the_first_bytes_tell_the_form(beginning: bytes, form: str) -> None:
    assert format_of(beginning) == form


@pytest.mark.parametrize(
    ("beginning", "form"),
    [(b"\x1f\x8b\x08", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"KDMV\1", "VMDK"), (b"vhdxfile", "VHDX")],
)
def test_what_no_machine_would_boot_is_refused(beginning: bytes, form: str) -> None:
    """A compressed image would import well, and only fail much later."""
    with pytest.raises(UnusableInput, match=form):
        format_of(beginning)


@pytest.mark.parametrize(("size", "rounded"), [(1, MIB), (MIB, MIB), (MIB + 1, 2 * MIB)])
def test_sizes_are_rounded_up(size: int, rounded: int) -> None:
    assert whole_mib(size) == rounded


def test_zero_blocks_are_left_out() -> None:
    """Neighbours are written together; the last block may be a short one."""
    zero, data = bytes(BLOCK), b"x" * BLOCK
    assert list(runs_of_data(zero * 3)) == []
    assert list(runs_of_data(zero + data + data + zero)) == [(BLOCK, 3 * BLOCK)]
    assert list(runs_of_data(data + zero + b"y")) == [(0, BLOCK), (2 * BLOCK, 2 * BLOCK + 1)]
    assert list(runs_of_data(bytes(BLOCK + 5))) == []


def test_holes_are_not_even_read(tmp_path: Path) -> None:
    """So a terabyte of nothing costs nothing; what is read lies within one of RBD's objects."""
    path, size = tmp_path / "disk", 1 << 40
    with path.open("wb") as file:
        file.truncate(size)
        for at in (CHUNK - 4096, size - 4096):
            file.seek(at)
            file.write(b"data" * 1024)
    with opened_raw(path) as (raw, found):
        read = list(chunks(raw, found))
    assert found == size
    assert sum(len(chunk) for _, chunk in read) <= 4 * CHUNK
    assert {at // CHUNK for at, _ in read} == {(at + len(c) - 1) // CHUNK for at, c in read}
    assert b"".join(chunk for _, chunk in read).strip(b"\0").count(b"data") == 2048


def test_a_file_that_is_all_hole_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    with opened_raw(path) as (raw, size):
        assert list(chunks(raw, size)) == []


def test_a_file_that_shrinks_is_no_image(tmp_path: Path) -> None:
    """Half an image is none."""
    path = tmp_path / "disk"
    path.write_bytes(b"x" * MIB)
    with pytest.raises(UnusableInput, match="shorter"), opened_raw(path) as (raw, size):
        list(chunks(raw, size + MIB))


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b"QFI\xfb" + bytes(60), "qcow")])
def test_a_useless_file_is_named_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    """A broken qcow2 in qemu-img's own words, or those that say what to install."""
    path = tmp_path / "disk"
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match=f"disk.*{why}"), opened_raw(path):
        pass
