"""Names say whose a thing is, and are read back without doubt."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.iscsi_worker.names import (
    Names,
    Owned,
    golden_image,
    golden_name,
    serial,
    snapshot_handle,
)
from shared.contract.identifiers import new_id

NAMES = Names("i1")
VOLUME = "volume-01jgz000000000000000000000"
SNAPSHOT = "snapshot-01jgz000000000000000000001"
ATTACHMENT = "attachment-01jgz000000000000000000002"
_SLUGS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
#: What ceph-iscsi takes as a disk's and a target's name (gwcli/utils.py, rtslib's normalize_wwn).
_DISK = re.compile(r"[a-zA-Z0-9\-_.]+")
_IQN = re.compile(r"iqn\.\d{4}-[0-1][0-9]\..*\..*")


def test_names_are_what_they_are() -> None:
    """What exists bears them: they are pinned here."""
    assert NAMES.image("bigtop", VOLUME) == f"colobus.i1.bigtop.{VOLUME}"
    assert NAMES.target("bigtop", ATTACHMENT) == f"iqn.2026-11.org.colobus:i1.bigtop.{ATTACHMENT}"
    assert snapshot_handle("a", SNAPSHOT) == f"a@{SNAPSHOT}"
    assert golden_image("debian-12") == "golden.debian-12"
    assert serial(VOLUME) == "01jgz000000000000000000000"


@given(_SLUGS, _SLUGS)
def test_what_is_written_is_read_back(installation: str, tenant: str) -> None:
    """And fits: into what ceph-iscsi allows, and 223 bytes for a target (RFC 3720)."""
    names, volume, attachment = Names(installation), new_id("volume"), new_id("attachment")
    image, target = names.image(tenant, volume), names.target(tenant, attachment)
    assert names.owner_of_image(image) == Owned(tenant, volume)
    assert names.owner_of_target(target) == Owned(tenant, attachment)
    assert names.owner_of_snapshot(f"{image}@{SNAPSHOT}") == Owned(tenant, SNAPSHOT)
    assert _DISK.fullmatch(image)
    assert _IQN.fullmatch(target)
    assert len(target) <= 223
    assert target == target.lower()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "colobus.",
        f"colobus.i2.bigtop.{VOLUME}",
        f"colobus.i1.bigtop.{VOLUME}.more",
        f"colobus.i1.{VOLUME}",
        "colobus.i1.bigtop.volume-1",
        "colobus.i1.bigtop.by-hand",
        f"xcolobus.i1.bigtop.{VOLUME}",
        f"golden.{VOLUME}",
        f"iqn.2026-11.org.colobus:i1.bigtop.{VOLUME}",
    ],
)
def test_what_is_not_ours_has_no_owner(name: str) -> None:
    """Whatever else lies in the pool is left alone."""
    assert NAMES.owner_of_image(name) is None
    assert NAMES.owner_of_snapshot(f"{name}@{SNAPSHOT}") is None


@pytest.mark.parametrize("snapshot", ["", "by-hand", "golden", VOLUME, f"{SNAPSHOT}@x"])
def test_a_snapshot_by_hand_has_no_owner(snapshot: str) -> None:
    """Although its volume has one."""
    assert NAMES.owner_of_snapshot(f"{NAMES.image('bigtop', VOLUME)}@{snapshot}") is None


def test_golden_images_are_known_by_name() -> None:
    """Only they."""
    assert golden_name("golden.debian-12.1") == "debian-12.1"
    assert golden_name("golden.") is None
    assert golden_name(NAMES.image("bigtop", VOLUME)) is None
