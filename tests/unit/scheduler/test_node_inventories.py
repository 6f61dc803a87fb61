"""Which metal a machine is sent to, by what is known of their nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler import node_inventories
from services.scheduler.admission import Admission, admit
from services.scheduler.placement import Candidate
from services.scheduler.queues import Capacity, Gate, NodeInventory, Nodes, Share, Waiting
from shared.bus import RejectedMessage
from shared.contract.messages import NodeCapacity, NodeInventoryTaken
from shared.contract.problems import Reason
from shared.contract.resources import Placement, Sort

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARCHS = frozenset({"x86_64", "aarch64"})
METALS = {
    name: Candidate(Placement(metal=name, store="rack"), 0, 100, archs=ARCHS)
    for name in ("barn", "lab")
}
SHARES = {"a": Share(1, {}, {}, {Sort.METAL: tuple(METALS)})}


def machines(count: int, flavor: str = "big", arch: str | None = None) -> list[Waiting]:
    return [
        Waiting(f"m-{n}", "a", {"machines": 1}, flavor=flavor, arch=arch, kind="machine")
        for n in range(count)
    ]


def known(**metals: dict[tuple[str, str], tuple[int, int]]) -> dict[str, NodeInventory]:
    return {
        metal: NodeInventory(
            {Nodes(metal, *key): Capacity(*capacity) for key, capacity in capacities.items()}
        )
        for metal, capacities in metals.items()
    }


def places(outcome: Admission) -> list[str | None]:
    return [choice.placement.metal for _, choice in outcome.admitted if choice.placement]


def test_a_machine_goes_where_nodes_are_free() -> None:
    """And its placement says how many there were of how many."""
    nodes = known(barn={("big", ""): (9, 0)}, lab={("big", ""): (3, 2)})
    outcome = admit(machines(1), SHARES, METALS, NOW, {}, nodes)
    ((_, choice),) = outcome.admitted
    assert choice.placement is not None
    assert choice.placement.explanation == (
        "barn: not chosen: room for 100 of 100 builds, 0 recent failures, 0 of 9 such nodes free",
        "lab: chosen: room for 100 of 100 builds, 0 recent failures, 2 of 3 such nodes free",
    )
    assert outcome.sent == {Nodes("lab", "big"): 1}


def test_each_that_is_sent_leaves_one_less_for_those_behind_it() -> None:
    """When none seems to be left they are asked nevertheless: a node may have come back."""
    nodes = known(barn={("big", ""): (2, 1)}, lab={("big", ""): (3, 2)})
    outcome = admit(machines(5), SHARES, METALS, NOW, {}, nodes)
    assert places(outcome) == ["lab", "barn", "lab", "barn", "barn"]
    assert outcome.sent == {Nodes("lab", "big"): 2, Nodes("barn", "big"): 3}


def test_one_of_an_arch_is_also_one_of_any() -> None:
    """Of another arch as many are left."""
    capacities = {("big", ""): (2, 2), ("big", "x86_64"): (1, 1), ("big", "aarch64"): (1, 1)}
    left = known(lab=capacities)["lab"].without(Nodes("lab", "big", "x86_64"))
    assert left == known(lab={**capacities, ("big", ""): (2, 1), ("big", "x86_64"): (1, 0)})["lab"]


def test_a_metal_of_which_nothing_is_known_is_not_taken_for_empty() -> None:
    """But one that has told of others than those asked for has none of these."""
    assert places(admit(machines(1), SHARES, METALS, NOW, {}, known(barn={}))) == ["lab"]
    nodes = known(barn={("small", ""): (5, 5)}, lab={("big", ""): (1, 1)})
    assert places(admit(machines(1), SHARES, METALS, NOW, {}, nodes)) == ["lab"]
    assert places(admit(machines(1, "small"), SHARES, METALS, NOW, {}, nodes)) == ["barn"]


def test_a_free_node_counts_for_more_than_that_there_was_none_before() -> None:
    """Its metal's gate has been opened for one: better than one that is empty, or says nothing."""
    due = Gate(Reason.NO_FREE_NODE, "None is free.", NOW + timedelta(seconds=9), tries=1)
    gates = {Nodes("lab", "big"): due}
    mended = {("big", ""): (3, 1)}
    for nodes in (known(lab=mended, barn={("big", ""): (9, 0)}), known(lab=mended)):
        assert places(admit(machines(1), SHARES, METALS, NOW, gates, nodes)) == ["lab"]
    assert places(admit(machines(1), SHARES, METALS, NOW, gates, {})) == ["barn"]


def test_one_that_keeps_failing_comes_behind_one_that_seems_to_be_empty() -> None:
    """What is told of nodes is a moment old; a failure costs a machine more than a refusal."""
    metals = {**METALS, "lab": replace(METALS["lab"], recent_failures=1)}
    nodes = known(barn={("big", ""): (9, 0)}, lab={("big", ""): (3, 2)})
    assert places(admit(machines(1), SHARES, metals, NOW, {}, nodes)) == ["barn"]


def test_a_closed_gate_stays_closed_whatever_the_inventory_says() -> None:
    """It is opened where it is kept: by who looked after it was closed."""
    shares = {"a": Share(1, {}, {}, {Sort.METAL: ("lab",)})}
    gate = Gate(Reason.NO_FREE_NODE, "None is free.", NOW + timedelta(seconds=9))
    nodes = known(lab={("big", ""): (3, 2)})
    outcome = admit(machines(1), shares, METALS, NOW, {Nodes("lab", "big"): gate}, nodes)
    assert [one.reason for one in outcome.held] == [Reason.NO_FREE_NODE]
    assert not outcome.sent


@pytest.mark.parametrize(
    "at", [datetime(2019, 12, 31, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)]
)
def test_an_inventory_of_no_possible_time_is_refused(at: datetime) -> None:
    """One from the future would be the newest for ever."""
    with pytest.raises(RejectedMessage, match="no time"):
        node_inventories.check(NodeInventoryTaken(metal="lab", taken_at=at, capacities=()))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"free": 3}, "out of bounds"),
        ({"free": -1}, "out of bounds"),
        ({"total": 10**9}, "out of bounds"),
        ({"flavor": "f" * 256}, "too long"),
        ({"arch": "a" * 256}, "too long"),
    ],
)
def test_what_can_not_be_an_inventory_is_refused(fields: dict[str, object], words: str) -> None:
    """Nothing of it is kept."""
    capacity = NodeCapacity(**{"flavor": "big", "arch": "", "total": 2, "free": 1, **fields})  # type: ignore[arg-type]
    with pytest.raises(RejectedMessage, match=words):
        node_inventories.check(
            NodeInventoryTaken(metal="lab", taken_at=NOW, capacities=(capacity,))
        )
