"""Machines on the real ledger: several workers, several places, one resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.scheduler import admitting, census, cloud_health, inspections
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    CensusTaken,
    CommandFailed,
    Holding,
    InspectMachines,
    InspectStorage,
    MachineObserved,
    Message,
    RemoveOrphan,
    StorageObserved,
    TakeCensus,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.desk import Desk, desk
from tests.unit.scheduler.test_machine_workflow import ANSWERS, INITIATOR, SPEC

PLACES = {"stores": {"rack": {}}, "metals": {"lab": {"store": "rack", "cloud": "devcloud"}}}
#: Each worker's word in the keys of its events.
WORDS = {"baremetal_worker": "machine", "iscsi_worker": "store", "vm_worker": "vm"}
START = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with one of each sort of place."""
    quotas = {"bigtop": {"machines": 2}}
    async with desk(ledger_dsn, tmp_path, quotas, places=PLACES, rest_failures=1) as made:
        yield made


async def created(ledger: Desk) -> str:
    """A machine that a round has admitted."""
    machine = new_id("machine")
    spec = {name: value for name, value in SPEC.items() if name != "arch"}
    await ledger.request(Verb.CREATE, machine, "bigtop", spec=spec)
    await admitting.hold_round(ledger.context)
    return machine


async def work(ledger: Desk, *but: str) -> None:
    """Each worker answers under its own word, until nothing is open but these."""
    while sent := ledger.take(*(ANSWERS.keys() - set(but))):
        for command in sent:
            await answer(ledger, command, ANSWERS[command.envelope.message_name])


async def answer(ledger: Desk, command: object, event: Message) -> None:
    """The command's own worker answers it."""
    envelope = command.envelope  # type: ignore[attr-defined]
    worker = command.routing_key.partition(".")[0]  # type: ignore[attr-defined]
    await ledger.event(
        event,
        envelope.subject,
        envelope.tenant,
        word=WORDS[worker],
        step=envelope.step,
        attempt=envelope.attempt,
    )


async def see(ledger: Desk, machine: str, event: Message) -> None:
    """An inspection's answer."""
    word = "machine" if isinstance(event, MachineObserved) else "store"
    await ledger.event(event, machine, "bigtop", word=word)


async def active(ledger: Desk) -> str:
    """A machine that Ironic and its own system have shown to be up."""
    machine = await created(ledger)
    await work(ledger)
    now = datetime.now(UTC)
    up = MachineObserved(observed_at=now, provision_state="active", power_state="power on")
    await see(ledger, machine, up)
    logged_in = StorageObserved(observed_at=now, initiators=(INITIATOR,), systems=(INITIATOR,))
    await see(ledger, machine, logged_in)
    assert (await ledger.state(machine)).phase is Phase.ACTIVE
    return machine


async def test_a_machine_that_is_being_booted_is_looked_at_by_both_its_witnesses(
    ledger: Desk,
) -> None:
    """Ironic of its metal for the node, the store for who is logged in to its disks."""
    machine = await created(ledger)
    state = await ledger.state(machine)
    assert state.resource.status.placement is not None
    assert set(state.resource.status.placement.places) == {"lab", "rack", "devcloud"}
    await work(ledger)
    await inspections.inspect_waiting(ledger.context)
    nodes, disks = ledger.take("InspectMachines", "InspectStorage")
    assert isinstance(nodes.message, InspectMachines)
    assert (nodes.routing_key, nodes.message.metal) == ("baremetal_worker.InspectMachines", "lab")
    assert [one.node_id for one in nodes.message.machines] == ["node-1"]
    assert isinstance(disks.message, InspectStorage)
    assert (disks.routing_key, disks.message.store) == ("iscsi_worker.InspectStorage", "rack")
    assert [(one.resource_id, one.volume) for one in disks.message.things] == [(machine, machine)]


async def test_a_machine_that_has_no_target_yet_is_not_looked_for_there(ledger: Desk) -> None:
    """What has not been accepted is not waited for."""
    await created(ledger)
    await work(ledger, "ExportDisks")
    await inspections.inspect_waiting(ledger.context)
    assert ledger.take("InspectMachines", "InspectStorage") == []


async def test_what_fails_counts_against_the_place_where_it_failed(ledger: Desk) -> None:
    """A store that is away says nothing of the metal."""
    await created(ledger)
    (command,) = ledger.take("ProvisionVolume")
    problem = Problem(title="x", detail="Ceph is away", reason=Reason.BACKEND_UNAVAILABLE)
    failed = CommandFailed(command="ProvisionVolume", problem=problem, retryable=True)
    await answer(ledger, command, failed)
    async with ledger.database.connection() as connection:
        assert set(await cloud_health.healths(connection)) == {"rack"}


async def test_each_place_is_asked_for_its_census_by_its_own_worker(ledger: Desk) -> None:
    """So that nobody takes another's things for gone."""
    await census.order_censuses(ledger.context)
    asked = {
        (command.routing_key, command.message.place)
        for command in ledger.take("TakeCensus")
        if isinstance(command.message, TakeCensus)
    }
    assert asked == {
        ("vm_worker.TakeCensus", "devcloud"),
        ("baremetal_worker.TakeCensus", "lab"),
        ("iscsi_worker.TakeCensus", "rack"),
    }


async def _census(ledger: Desk, word: str, minute: int, *holdings: Holding) -> list[RemoveOrphan]:
    place = holdings[0].place
    taken = CensusTaken(
        place=place, taken_at=START + timedelta(minutes=minute), holdings=tuple(holdings)
    )
    await ledger.event(taken, f"worker/{place}", "colobus", word=word)
    return [
        command.message
        for command in ledger.take("RemoveOrphan")
        if isinstance(command.message, RemoveOrphan)
    ]


async def test_what_a_living_machine_has_on_its_places_stays(ledger: Desk) -> None:
    """Disks, target, port, allocation: each is recorded, wherever it is."""
    machine = await active(ledger)
    await ledger.move_back(machine, START - timedelta(hours=1))
    handles = (await ledger.state(machine)).handles

    def held(what: str, place: str, handle: str) -> Holding:
        owner = {"tenant": "bigtop", "resource_id": machine}
        return Holding(what=what, id=handles[handle], place=place, **owner)

    things = {
        "store": [
            held("rbd_image", "rack", "rbd_image"),
            held("config_image", "rack", "config_image"),
            held("iscsi_target", "rack", "target_iqn"),
        ],
        "machine": [held("allocation", "lab", "allocation_id")],
        "vm": [
            held("port", "devcloud", "port_id"),
            held("floating_ip", "devcloud", "floating_ip_id"),
        ],
    }
    for minute in (1, 2, 3):
        for word, holdings in things.items():
            assert await _census(ledger, word, minute, *holdings) == []


async def test_what_a_machine_left_behind_is_removed_by_whoever_has_it(ledger: Desk) -> None:
    """The order goes to the worker of that sort of thing, not to the kind's."""
    machine = new_id("machine")
    await ledger.request(Verb.CREATE, machine, "bigtop", spec=SPEC)
    await ledger.request(Verb.DELETE, machine, "bigtop")
    assert (await ledger.state(machine)).phase is Phase.DELETED
    await ledger.move_back(machine, START - timedelta(hours=1))
    left = Holding(
        what="config_image", id="image-9", place="rack", tenant="bigtop", resource_id=machine
    )
    assert await _census(ledger, "store", 1, left) == []
    taken = CensusTaken(place="rack", taken_at=START + timedelta(minutes=2), holdings=(left,))
    await ledger.event(taken, "worker/rack", "colobus", word="store")
    (order,) = ledger.take("RemoveOrphan")
    assert order.routing_key == "iscsi_worker.RemoveOrphan"
    assert isinstance(order.message, RemoveOrphan)
    assert (order.message.what, order.message.object_id) == ("config_image", "image-9")
