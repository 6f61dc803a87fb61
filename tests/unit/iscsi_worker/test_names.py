"""Names say whose a thing is, and are read back without doubt."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.iscsi_worker.names import (
    Names,
    Owned,
    config_serial,
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
MACHINE = "machine-01jgz000000000000000000003"
_SLUGS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
#: What ceph-iscsi takes as a disk's and a target's name (gwcli/utils.py, rtslib's normalize_wwn).
_DISK = re.compile(r"[a-zA-Z0-9\-_.]+")
_IQN = re.compile(r"iqn\.\d{4}-[0-1][0-9]\..*\..*")
#: Much of what begins like ours, and is or isn't.
_OURS = re.compile(
    r"colobus\.i1\.[a-z0-9-]{1,8}\.(machine|volume|x)-[0-7][0-9a-hjkmnp-tv-z]{24,25}(\.config){0,2}"
)


def test_names_are_what_they_are() -> None:
    """What exists bears them: they are pinned here."""
    assert NAMES.image("bigtop", VOLUME) == f"colobus.i1.bigtop.{VOLUME}"
    assert NAMES.target("bigtop", ATTACHMENT) == f"iqn.2026-11.org.colobus:i1.bigtop.{ATTACHMENT}"
    assert NAMES.config_image("bigtop", MACHINE) == f"colobus.i1.bigtop.{MACHINE}.config"
    initiator = f"iqn.2026-11.org.colobus:i1.bigtop.{MACHINE}.initiator"
    assert NAMES.initiator("bigtop", MACHINE) == initiator
    assert snapshot_handle("a", SNAPSHOT) == f"a@{SNAPSHOT}"
    assert golden_image("debian-12") == "golden.debian-12"
    assert serial(VOLUME) == "01jgz000000000000000000000"
    assert config_serial(MACHINE) == "01jgz000000000000000000003-config"


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


@given(_SLUGS, _SLUGS)
def test_a_machines_names_are_read_back_too(installation: str, tenant: str) -> None:
    """Each of its disks as what it is alone, and its initiator as no target; they fit too."""
    names, machine = Names(installation), new_id("machine")
    root, config = names.image(tenant, machine), names.config_image(tenant, machine)
    target, initiator = names.target(tenant, machine), names.initiator(tenant, machine)
    owned = Owned(tenant, machine)
    assert (names.owner_of_image(root), names.owner_of_config_image(root)) == (owned, None)
    assert (names.owner_of_image(config), names.owner_of_config_image(config)) == (None, owned)
    assert names.owner_of_snapshot(f"{config}@{SNAPSHOT}") is None
    assert (names.owner_of_target(target), names.owner_of_target(initiator)) == (owned, None)
    assert _DISK.fullmatch(config)
    assert _IQN.fullmatch(initiator)
    assert re.fullmatch(r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]+:[a-z0-9.:-]+", initiator)
    assert len(initiator) <= 223
    # tgt cuts what is longer, and by-id names of two disks would be one.
    assert config_serial(machine) != serial(machine)
    assert len(config_serial(machine)) <= 35


@given(st.text(alphabet="colbusi1.machne-0gt", max_size=80) | st.from_regex(_OURS, fullmatch=True))
def test_an_image_is_of_one_sort_at_most(name: str) -> None:
    """And what is read of it is what it is written from."""
    volume, config = NAMES.owner_of_image(name), NAMES.owner_of_config_image(name)
    assert volume is None or config is None
    if volume is not None:
        assert NAMES.image(volume.tenant, volume.resource_id) == name
    if config is not None:
        assert NAMES.config_image(config.tenant, config.resource_id) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"colobus.i1.bigtop.{VOLUME}.config",
        f"colobus.i1.bigtop.{MACHINE}.config.config",
        f"colobus.i1.bigtop.{MACHINE}.Config",
        f"colobus.i2.bigtop.{MACHINE}.config",
        "colobus.i1.bigtop.config",
        ".config",
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
    assert NAMES.owner_of_config_image(name) is None
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
