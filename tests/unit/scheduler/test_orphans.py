"""Which things nobody needs: what has ended goes, what is alive or unknown never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.orphans import (
    BLOCKING_ORDERS,
    Known,
    Seen,
    Verdict,
    judge,
    order_again,
    removable,
)
from services.scheduler.vm_workflow import VM_WORKFLOW
from shared.contract.resources import TERMINAL_PHASES, Phase

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MARGIN = timedelta(seconds=120)
VM = "vm-01jz0000000000000000000000"
WHATS = tuple(VM_WORKFLOW.holds)
RECORDS = {"server": "s-1", "port": "p-1", "floating_ip": "f-1"}


def minutes(number: float) -> datetime:
    """So many minutes after the resource's last change."""
    return T0 + timedelta(minutes=number)


def seen(what: str = "server", id: str = "s-9", **fields: object) -> Seen:
    """A thing of the VM that two censuses long after its last change have shown."""
    thing = Seen("devcloud", what, id, "bigtop", VM, seen_at=minutes(11), seen_before=minutes(10))
    return replace(thing, **fields)  # type: ignore[arg-type]


def known(phase: Phase = Phase.DELETED, **fields: object) -> Known:
    """The VM as the ledger knows it."""
    vm = Known(
        kind="vm",
        tenant="bigtop",
        phase=phase,
        changed_at=T0,
        whats=WHATS,
        places=("devcloud",),
        records=RECORDS,
    )
    return replace(vm, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", sorted(TERMINAL_PHASES))
@pytest.mark.parametrize("what", WHATS)
def test_what_an_ended_resource_left_is_an_orphan(phase: Phase, what: str) -> None:
    """Deleted or failed: nothing of it may be there."""
    assert judge(seen(what), known(phase), MARGIN) is Verdict.ORPHAN


def test_once_is_not_enough() -> None:
    """One census may have been under way when the resource ended."""
    assert judge(seen(seen_before=None), known(), MARGIN) is None


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (minutes(-1), minutes(10), None),  # the first was begun before the end
        (minutes(1), minutes(10), None),  # within the margin: by another clock perhaps before it
        (minutes(2), minutes(10), None),  # exactly the margin
        (minutes(2.01), minutes(10), Verdict.ORPHAN),
        (minutes(10), minutes(10), None),  # the same census twice
    ],
)
def test_both_censuses_must_be_newer_than_the_end_by_more_than_clocks_differ(
    first: datetime, second: datetime, verdict: Verdict | None
) -> None:
    """What was just being removed is no orphan."""
    assert judge(seen(seen_before=first, seen_at=second), known(), MARGIN) is verdict


@pytest.mark.parametrize(
    "ledgers",
    [None, known(tenant="openlab"), known(Phase.ACTIVE, tenant="openlab")],
    ids=["nothing", "another tenant's", "another tenant's living"],
)
def test_what_the_ledger_does_not_know_is_unknown_and_stays(ledgers: Known | None) -> None:
    """An unknown id, and a known one in a project that isn't its tenant's."""
    assert judge(seen(), ledgers, MARGIN) is Verdict.UNKNOWN
    assert removable([seen()], ledgers, MARGIN, minutes(20)) == []


def test_what_no_workflow_makes_is_unknown_and_stays() -> None:
    """A VM has no networks, whatever the marks on one say."""
    network = seen("network", "n-1")
    assert judge(network, known(), MARGIN) is Verdict.UNKNOWN
    assert removable([network], known(), MARGIN, minutes(20)) == []


def test_a_living_resources_things_are_its_own() -> None:
    """What the ledger records is as it should be."""
    for what, id in RECORDS.items():
        assert judge(seen(what, id), known(Phase.ACTIVE), MARGIN) is None


@pytest.mark.parametrize("phase", sorted(set(Phase) - TERMINAL_PHASES - {Phase.ACTIVE}))
def test_what_a_workflow_is_at_is_left_to_it(phase: Phase) -> None:
    """It looks before it makes, and undoes what it finds."""
    assert judge(seen(), known(phase), MARGIN) is None


def test_a_second_thing_of_a_living_resource_is_surplus_and_goes() -> None:
    """The one that the ledger records stays."""
    vm, second, first = known(Phase.ACTIVE), seen(), seen(id="s-1")
    assert judge(second, vm, MARGIN) is Verdict.SURPLUS
    assert removable([first, second], vm, MARGIN, minutes(20)) == [second]


def test_a_second_thing_whose_first_is_missing_is_told_of_and_stays() -> None:
    """It may be what the tenant uses."""
    vm, second = known(Phase.ACTIVE), seen()
    assert judge(second, vm, MARGIN) is Verdict.SURPLUS
    assert removable([second], vm, MARGIN, minutes(20)) == []
    once = seen(id="s-1", seen_before=None)
    assert removable([once, second], vm, MARGIN, minutes(20)) == []
    older = seen(id="s-1", seen_before=minutes(9), seen_at=minutes(10))
    assert removable([older, second], vm, MARGIN, minutes(20)) == []


def test_what_a_living_resource_left_on_another_cloud_goes() -> None:
    """It was placed anew; the ledger says where it lives."""
    there = seen(place="othercloud", id="s-1")
    assert judge(there, known(Phase.ACTIVE), MARGIN) is Verdict.SURPLUS
    assert removable([there], known(Phase.ACTIVE), MARGIN, minutes(20)) == [there]


def test_while_a_command_is_open_nothing_of_the_living_is_surplus() -> None:
    """An operation may be changing it."""
    assert judge(seen(), known(Phase.ACTIVE, busy=True), MARGIN) is None


def test_things_go_in_order() -> None:
    """A floating IP, then the server, then its port."""
    fip, server, port = seen("floating_ip", "f-9"), seen(), seen("port", "p-9")
    for left, first in (
        ([port, server, fip], [fip]),
        ([port, server], [server]),
        ([port], [port]),
    ):
        assert removable(left, known(), MARGIN, minutes(20)) == first


def test_an_order_is_left_alone_for_a_while() -> None:
    """It may still be on its way; and what goes after it waits."""
    ordered = seen(orders=1, order_after=minutes(20))
    port = seen("port", "p-9")
    assert removable([ordered, port], known(), MARGIN, minutes(19)) == []
    assert removable([ordered, port], known(), MARGIN, minutes(20)) == [ordered]


def test_what_never_goes_does_not_hold_up_the_others_for_ever() -> None:
    """A floating IP that the worker refuses to touch is no reason to keep the server."""
    refused = seen("floating_ip", "f-9", orders=BLOCKING_ORDERS, order_after=minutes(90))
    server = seen()
    assert removable([refused, server], known(), MARGIN, minutes(20)) == [server]


def test_orders_become_rarer() -> None:
    """A cloud that refuses is not asked every minute."""
    waits = [order_again(number, T0) - T0 for number in range(1, 20)]
    assert waits == sorted(waits)
    assert waits[0] > timedelta(minutes=2)
    assert waits[-1] == timedelta(hours=1)


_moments = st.integers(-10, 30).map(minutes)
_ids = st.sampled_from(["s-1", "s-2", "p-1", "p-2", "f-1", "f-2"])
_things = st.builds(
    Seen,
    place=st.sampled_from(["devcloud", "othercloud"]),
    what=st.sampled_from([*WHATS, "network", "router"]),
    id=_ids,
    tenant=st.sampled_from(["bigtop", "openlab"]),
    resource_id=st.just(VM),
    seen_at=_moments,
    seen_before=st.none() | _moments,
    orders=st.integers(0, 20),
    order_after=st.none() | _moments,
)
_knowns = st.builds(
    Known,
    kind=st.just("vm"),
    tenant=st.just("bigtop"),
    phase=st.sampled_from(Phase),
    changed_at=_moments,
    whats=st.just(WHATS),
    places=st.sampled_from([(), ("devcloud",)]),
    busy=st.booleans(),
    records=st.dictionaries(st.sampled_from(WHATS), _ids),
)


@given(st.lists(_things, max_size=8), st.none() | _knowns, _moments)
def test_the_living_and_the_unknown_are_never_removed(
    things: list[Seen], ledgers: Known | None, now: datetime
) -> None:
    """Whatever is seen whenever: what goes is of an ended VM, or beside what a living one has."""
    for one in removable(things, ledgers, MARGIN, now):
        assert ledgers is not None
        assert one.tenant == ledgers.tenant
        assert one.what in WHATS
        assert one.seen_before is not None
        assert ledgers.changed_at + MARGIN < one.seen_before < one.seen_at
        if ledgers.phase not in TERMINAL_PHASES:
            assert ledgers.phase is Phase.ACTIVE
            assert not ledgers.busy
            assert not ledgers.has(one)
            assert one.place not in ledgers.places or any(ledgers.has(other) for other in things)
