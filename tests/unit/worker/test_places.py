"""Where a command works, and under which bound."""

from __future__ import annotations

import pytest

from shared.contract.messages import (
    DeprovisionVm,
    DeprovisionVolume,
    InspectApps,
    InspectClusters,
    InspectMachines,
    InspectStacks,
    InspectStorage,
    InspectVms,
    Message,
    ReleaseNode,
    TakeCensus,
)
from shared.worker.places import backend_of, place_of


@pytest.mark.parametrize(
    ("command", "place", "backend"),
    [
        (DeprovisionVm(cloud="a"), "a", "a"),
        (DeprovisionVolume(store="b"), "b", "b"),
        (ReleaseNode(metal="c"), "c", "c"),
        (TakeCensus(place="d"), "d", "d/census"),
        (InspectVms(cloud="a", vms=()), "a", "a/inspect"),
        (InspectStorage(store="b", things=()), "b", "b/inspect"),
        (InspectMachines(metal="c", machines=()), "c", "c/inspect"),
        (InspectStacks(cloud="a", stacks=()), "a", "a/inspect"),
        (InspectClusters(cloud="a", clusters=()), "a", "a/inspect"),
        (InspectApps(cloud="a", apps=()), "a", "a/inspect-apps"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Message) else str(one),
)
def test_looking_has_a_bound_of_its_own(command: Message, place: str, backend: str) -> None:
    """So that it neither waits for making nor hinders it."""
    assert (place_of(command), backend_of(command)) == (place, backend)
