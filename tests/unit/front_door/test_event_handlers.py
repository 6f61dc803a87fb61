"""What a tenant sees of the workers' events while they happen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.front_door.event_handlers import public_data
from shared.contract.messages import Message, StorageObserved, VolumeAttached

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
