"""A machine's second disk: an ISO 9660 file system that cloud-init reads as NoCloud. Pure.

The same content gives the same bytes, today and tomorrow, so what is found on a store can be
compared with what should be there: the dates, which the library takes from the clock and in local
time, are overwritten with one date. Sources: cloud-init's documentation, "NoCloud"; ECMA-119 (ISO
9660, §8.4 and §9.1); IEEE P1281 (SUSP) and P1282 (Rock Ridge) for ``TF``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import pycdlib
import yaml

from shared.worker.cloud_config import HEADER, compose

LABEL = "cidata"
#: A disk is whole MiB, as gateways like it.
_MIB = 1 << 20
_SECTOR = 2048
_FIRST_DESCRIPTOR, _LAST_TYPE = 16, 255
#: Within a volume descriptor: the root directory's record, and four dates of 17 bytes each.
_ROOT, _DATES, _DATE_LENGTH = 156, 813, 17
#: Within a directory record: place and length of what it is of, the date, the name.
_PLACE, _LENGTH, _DATE, _NAME_LENGTH, _NAME = 2, 10, 18, 32, 33
_SOME_DATE = b"2000010100000000\0"
_SOME_SHORT_DATE = bytes([100, 1, 1, 0, 0, 0, 0])


def config_disk(
    instance_id: str,
    hostname: str,
    ssh_keys: Sequence[str],
    user_data: str | None,
    vendor_data: str | None = None,
) -> bytes:
    """Return the whole disk. Where there is nothing to say, user-data says nothing: it must be.

    ``vendor_data`` is what the cloud says itself: cloud-config that the user's has its way over.
    """
    meta_data = {"instance-id": instance_id, "local-hostname": hostname}
    files = {
        "meta-data": yaml.safe_dump(meta_data, sort_keys=False),
        "user-data": compose(ssh_keys, user_data) or f"{HEADER}\n",
    }
    if vendor_data is not None:
        files["vendor-data"] = vendor_data
    disk = bytearray(_file_system(files))
    _set_dates(disk)
    return bytes(disk) + bytes(-len(disk) % _MIB)


def _file_system(files: Mapping[str, str]) -> bytes:
    """Joliet and Rock Ridge, since the names of plain ISO 9660 have no hyphen."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, text in files.items():
        content = text.encode()
        iso.add_fp(
            io.BytesIO(content),
            len(content),
            f"/{name.upper().replace('-', '')}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
            file_mode=0o100444,
        )
    written = io.BytesIO()
    iso.write_fp(written)
    iso.close()
    return written.getvalue()


def _set_dates(disk: bytearray) -> None:
    for descriptor in _descriptors(disk):
        _put(disk, descriptor + _DATES, _SOME_DATE * 4)
        root = descriptor + _ROOT
        for record in (root, *_records(disk, root)):
            _put(disk, record + _DATE, _SOME_SHORT_DATE)
            _set_rock_ridge_dates(disk, record)


def _descriptors(disk: bytearray) -> Iterator[int]:
    """Where the volume descriptors are: that of plain names, and that of Joliet's."""
    at = _FIRST_DESCRIPTOR * _SECTOR
    while disk[at] != _LAST_TYPE:
        yield at
        at += _SECTOR


def _records(disk: bytearray, directory: int) -> Iterator[int]:
    """Where the records of a directory are, which has few: they fit into one sector."""
    at = _number(disk, directory + _PLACE) * _SECTOR
    while disk[at]:
        yield at
        at += disk[at]


def _set_rock_ridge_dates(disk: bytearray, record: int) -> None:
    """``TF`` has as many dates as its flags say, all of the short form."""
    at, end = record + _NAME + (disk[record + _NAME_LENGTH] | 1), record + disk[record]
    while at + 4 <= end and disk[at + 2]:
        length = disk[at + 2]
        if disk[at : at + 2] == b"TF":
            _put(disk, at + 5, _SOME_SHORT_DATE * ((length - 5) // len(_SOME_SHORT_DATE)))
        at += length


def _number(disk: bytearray, at: int) -> int:
    return int.from_bytes(disk[at : at + 4], "little")


def _put(disk: bytearray, at: int, content: bytes) -> None:
    disk[at : at + len(content)] = content
