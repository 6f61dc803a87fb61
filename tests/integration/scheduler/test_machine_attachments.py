"""Where an attachment to a machine goes, on a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.scheduler import admitting
from services.scheduler.ledger import utc_now
from services.scheduler.state import Decision, ResourceState
from shared.contract.identifiers import new_id
from shared.contract.messages import AttachVolume
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Placement, Resource, Status
from tests.integration.scheduler.desk import Desk, desk


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with two stores."""
    async with desk(
        ledger_dsn, tmp_path, {"bigtop": {}}, places={"stores": {"east": {}, "west": {}}}
    ) as made:
        yield made


async def living(ledger: Desk, kind: str, placement: Placement, tenant: str = "bigtop") -> str:
    """A resource that is active there."""
    now = utc_now()
    resource = Resource(
        id=new_id(kind),
        kind=kind,
        tenant=tenant,
        spec={},
        status=Status(phase=Phase.ACTIVE, placement=placement),
        created_at=now,
        updated_at=now,
        revision=1,
    )
    state = ResourceState(resource=resource, correlation_id="test")
    async with ledger.database.transaction() as tx:
        await ledger.context.ledger.insert(tx, Decision(state))
    return resource.id


async def attach(ledger: Desk, volume: str, machine: str) -> str:
    made = await ledger.create(vm=new_id("attachment"), spec={"volume": volume, "machine": machine})
    await admitting.hold_round(ledger.context)
    return made


async def test_it_goes_to_the_volumes_store_and_not_to_the_machines_metal(ledger: Desk) -> None:
    """The worker is told the machine's id."""
    volume = await living(ledger, "volume", Placement(store="west"))
    machine = await living(ledger, "machine", Placement(metal="hall", store="west"))
    attachment = await attach(ledger, volume, machine)
    placement = (await ledger.state(attachment)).resource.status.placement
    assert placement is not None
    assert (placement.store, placement.metal) == ("west", None)
    (asked,) = ledger.take("AttachVolume")
    assert asked.message == AttachVolume(store="west", volume=volume, machine=machine)


async def test_a_machine_on_another_store_is_refused(ledger: Desk) -> None:
    """For good, with both places."""
    volume = await living(ledger, "volume", Placement(store="west"))
    machine = await living(ledger, "machine", Placement(metal="hall", store="east"))
    status = (await ledger.state(await attach(ledger, volume, machine))).resource.status
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.NO_STORE)
    assert status.error is not None
    words = f"volume: {volume} is on west. machine: {machine} is on east."
    assert status.error.detail == f"They must be on one store. {words}"
    assert not status.error.retryable


async def test_anothers_machine_is_as_unknown_as_none(ledger: Desk) -> None:
    """It is waited for a while, as what may be on its way."""
    volume = await living(ledger, "volume", Placement(store="west"))
    foreign = await living(ledger, "machine", Placement(metal="hall", store="west"), "openlab")
    status = (await ledger.state(await attach(ledger, volume, foreign))).resource.status
    assert (status.phase, status.reason) == (Phase.WAITING, Reason.REFERENCE_NOT_READY)
    assert status.message == f"machine: there is no {foreign}."
