"""What a tenant sees of the workers' events while they happen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.front_door.event_handlers import public_data
from shared.contract.messages import (
    Message,
    StackObserved,
    StackPart,
    StorageObserved,
    VolumeAttached,
)

NOW = datetime.now(UTC)
IQN = "iqn.2026-03.org.example:ci-1"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (StorageObserved(observed_at=NOW), {}),
        (StorageObserved(observed_at=NOW, size_bytes=5), {"size_bytes": 5}),
        (StorageObserved(observed_at=NOW, initiators=(IQN,)), {"initiators": (IQN,)}),
        (StorageObserved(observed_at=NOW, gone=True), {"gone": True}),
        (
            VolumeAttached(
                target_iqn="t", initiator_iqn="i", lun=1, portals=("p",), chap_username="u"
            ),
            {},
        ),
    ],
)
def test_of_storage_sizes_and_initiators_are_shown(message: Message, shown: dict[str, Any]) -> None:
    """Where and as whom to log in comes with the status, and the secret with neither."""
    assert public_data(message) == shown


def test_of_a_stack_all_parts_are_shown_those_of_one_name_too() -> None:
    """Each group of servers has its "0"."""
    one, other = (StackPart(name="0", type="T", status=status) for status in ("A", "B"))
    shown = public_data(StackObserved(observed_at=NOW, stack_status="S", parts=(one, other)))
    parts = [{"name": "0", "status": "A"}, {"name": "0", "status": "B"}]
    assert shown == {"stack_status": "S", "parts": parts}
