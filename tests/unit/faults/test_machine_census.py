"""The census of machines finds what it is there to find, in Ironic, in Ceph and at the target."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colobus.models import Phase
from tests.faults.census import judge
from tests.faults.evidence import reserved
from tests.faults.facts import Common, Evidence, Held, Instance, Reservation, Row, Told
from tests.faults.plan import Ending, Plan

KEPT = Plan("kept", "bigtop", Ending.KEEP, floating_ip=False, twice=False, kind="machine")
ROW = Row("machine-1", "bigtop", Phase.ACTIVE, 1)
TIMELINE = (Told("machine-1", 1, Phase.ACTIVE),)


def _held(what: str, on: str | None = None, status: str | None = None) -> Held:
    return Held(what, f"{what}-1", "machine-1", on, status)


NODE = _held("node", "metal-1", "active, power on")
SYSTEM = _held("system", "node-1", "metal-1")
HELD = (
    NODE,
    SYSTEM,
    _held("allocation", "node-1", "active"),
    _held("volume_connector", "node-1"),
    _held("volume_target", "node-1"),
    _held("root_image"),
    _held("config_image"),
    _held("iscsi_target", None, "2 disks to 1"),
    _held("account", "iscsi_target-1"),
    _held("port", "", "DOWN"),  # which no host binds
)
FIRST = Reservation("machine-1", "metal-1", "2026-11-28T10:00:00Z", "2026-11-28T10:05:00Z")
NEXT = Reservation("machine-2", "metal-1", "2026-11-28T10:05:01Z")
COMMONS = (
    Common("network", "network-1", "bigtop"),
    Common("subnet", "subnet-1", "bigtop", "network-1"),
    Common("router", "router-1", "bigtop", "network-1"),
)
GOOD = Evidence(
    plans=(KEPT,),
    answers={"kept": ("machine-1",)},
    ledger=(ROW,),
    read_model=(ROW,),
    timeline=TIMELINE,
    streamed=TIMELINE,
    webhooks=TIMELINE,
    held=HELD,
    commons=COMMONS,
    networked=frozenset({"bigtop"}),
    reservations=(FIRST, NEXT),
)


def found(**changes: Any) -> str:
    """Judge the good evidence with these changes."""
    return "\n".join(judge(dataclasses.replace(GOOD, **changes)))


def test_where_all_agree_nothing_is_wrong() -> None:
    """A node that had been given back before it was handed out again is fine."""
    assert judge(GOOD) == []


def test_an_active_machine_needs_its_tenants_network() -> None:
    """Its port lies on it, as a VM's does."""
    assert "lost: bigtop has no default router" in found(commons=COMMONS[:2])


@pytest.mark.parametrize("missing", HELD, ids=lambda one: one.what)
def test_all_of_an_active_machine_must_be_there(missing: Held) -> None:
    """Also the session of its system."""
    held = tuple(one for one in HELD if one != missing)
    assert f"lost: machine-1 has 0 {missing.what}s" in found(held=held)


@pytest.mark.parametrize("left", HELD, ids=lambda one: one.what)
def test_nothing_of_a_machine_that_ended_may_be_there(left: Held) -> None:
    """On a node, in Ceph, or at the target; a node that isn't clean belongs to nobody else."""
    gone = dataclasses.replace(ROW, phase=Phase.DELETED)
    wrong = found(ledger=(gone,), read_model=(gone,), held=(left,), unmade=True)
    assert f"leaked: machine-1 has 1 {left.what}s" in wrong


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (dataclasses.replace(NODE, status="active, power off"), "its node is active, power off"),
        (dataclasses.replace(SYSTEM, on="node-2"), "the system of machine-1 is not on its node"),
        (dataclasses.replace(NODE, id="node-2"), "the allocation of machine-1 is not on its node"),
    ],
)
def test_an_active_machine_is_on_one_node(changed: Held, finding: str) -> None:
    """On, reserved, and logged in under its name."""
    held = tuple(changed if one.what == changed.what else one for one in HELD)
    assert finding in found(held=held)


def test_a_node_in_two_hands_is_found() -> None:
    """Were it for a second; what overlaps is not made good by being over."""
    early = dataclasses.replace(NEXT, since="2026-11-28T10:04:59Z")
    assert "doubled: node metal-1 was machine-1's" in found(reservations=(early, FIRST))
    never = dataclasses.replace(FIRST, until=None)
    assert "doubled: node metal-1 was machine-1's" in found(reservations=(never, NEXT))


def test_a_failed_deployment_needs_ironics_word() -> None:
    """Where Ironic was killed, its history of the node must say so; else it was lost by us."""
    failed = dataclasses.replace(ROW, phase=Phase.FAILED, reason="deploy_failed")
    said = (Instance("machine-1", launched=False, fault="can't be resumed by conductor"),)
    wrong = "machine-1 (kept, keeps it) is failed for deploy_failed"
    assert wrong in found(ledger=(failed,))
    assert wrong in found(ledger=(failed,), instances=said)
    assert wrong in found(ledger=(failed,), losers=frozenset({"ironic"}))
    assert wrong not in found(ledger=(failed,), instances=said, losers=frozenset({"ironic"}))
    other = dataclasses.replace(failed, reason="removed_externally")
    assert "is failed for removed" in found(
        ledger=(other,), instances=said, losers=frozenset({"ironic"})
    )


def test_a_reservation_lasts_from_its_word_to_the_order_to_give_it_back() -> None:
    """Told of in order; a machine that was queued again may get another node."""

    def told(at: str, state: str, node: str = "a") -> tuple[str, dict[str, Any]]:
        status = {"steps": [{"name": "node", "state": state}], "outputs": {"node": node}}
        return "machine-1", {"updated_at": at, "status": status}

    lives = [
        told("1", "running"),
        told("2", "done"),
        told("3", "done"),
        told("4", "undoing"),
        told("5", "undone"),
        told("6", "done", "b"),
    ]
    assert reserved(lives) == [
        Reservation("machine-1", "a", "2", "4"),
        Reservation("machine-1", "b", "6", None),
    ]
