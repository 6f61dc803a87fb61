"""Requests for volumes and attachments on the bus: each bad field is named, as it is by HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.request_faults import own_faults

ULID = "01jnf6y3z8k2w9q4t7b5r1c0ga"
VOLUME, SNAPSHOT = f"volume-{ULID}", f"snapshot-{ULID}"


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("volume", {"size_gib": 20}, []),
        ("volume", {}, ["size_gib", "image", "snapshot"]),
        ("volume", {"image": "debian-12", "snapshot": SNAPSHOT}, ["image", "snapshot"]),
        ("volume", {"size_gib": 0}, ["size_gib"]),
        ("snapshot", {}, ["volume"]),
        ("snapshot", {"volume": SNAPSHOT}, ["volume"]),
        ("attachment", {"volume": VOLUME}, ["initiator_iqn", "machine"]),
        ("attachment", {"volume": VOLUME, "initiator_iqn": "host-1"}, ["initiator_iqn"]),
    ],
)
def test_each_bad_field_of_a_spec_is_named(
    kind: str, spec: dict[str, Any], fields: list[str]
) -> None:
    """By its pointer into the event as it was sent; rules over several fields name them all."""
    faults = own_faults({"verb": "create", "kind": kind, "spec": spec})
    assert [fault.pointer for fault in faults] == [f"/data/spec/{field}" for field in fields]
    assert all(fault.detail for fault in faults)
