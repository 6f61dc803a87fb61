"""Volumes that grow, on a real ledger: what the tenant holds is what its volumes are, exactly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.scheduler import admitting, handlers
from services.scheduler.growing import demand
from shared.bus import Delivery, RejectedMessage
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id, new_ulid
from shared.contract.messages import (
    CommandFailed,
    DeprovisionVolume,
    GrowVolume,
    Message,
    ProvisionVolume,
    RequestSubmitted,
    VolumeDeprovisioned,
    VolumeGrown,
    VolumeProvisioned,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import HOLDING_PHASES, OperationState, Phase, Verb
from tests.integration.scheduler.desk import Desk, desk

GIB = 1 << 30
TENANT = "bigtop"
COMMANDS = ("ProvisionVolume", "GrowVolume", "DeprovisionVolume")


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with room for ten GiB."""
    quota = {TENANT: {"volumes": 20, "volume_gib": 10}}
    async with desk(ledger_dsn, tmp_path, quota, places={"stores": {"rack": {}}}) as made:
        yield made


def outcome(command: Message) -> Message:
    """What a worker says for which all goes well."""
    if isinstance(command, ProvisionVolume):
        return VolumeProvisioned(rbd_image="i", size_bytes=(command.size_gib or 1) * GIB)
    if isinstance(command, GrowVolume):
        size = command.size_gib * GIB
        return VolumeGrown(operation_id=command.operation_id, size_bytes=size)
    assert isinstance(command, DeprovisionVolume)
    return VolumeDeprovisioned()


def failure() -> Message:
    """The store refuses."""
    problem = Problem(title="x", detail="no space left", reason=Reason.BACKEND_REFUSED)
    return CommandFailed(command="GrowVolume", problem=problem, retryable=False)


async def answer(ledger: Desk, asked: Delivery, event: Message) -> None:
    envelope = asked.envelope
    about: dict[str, Any] = {
        "step": envelope.step,
        "attempt": envelope.attempt,
        "causationid": envelope.id,
    }
    await ledger.event(event, envelope.subject, TENANT, id=f"{envelope.id}/answer", **about)


async def volume(ledger: Desk, size_gib: int) -> str:
    """A living one."""
    made = await ledger.create(vm=new_id("volume"), spec={"size_gib": size_gib})
    await admitting.hold_round(ledger.context)
    for asked in ledger.take("ProvisionVolume"):
        await answer(ledger, asked, outcome(asked.message))
    assert (await ledger.state(made)).phase is Phase.ACTIVE
    return made


async def grow(ledger: Desk, volume: str, size_gib: int, **more: str) -> str:
    operation_id = f"op-{new_ulid()}"
    wanted = {"spec": {"size_gib": size_gib}, "operation_id": operation_id, **more}
    await ledger.request(Verb.UPDATE, volume, TENANT, **wanted)
    return operation_id


async def used(ledger: Desk) -> int:
    """What the tenant holds, by the books; they agree with what its volumes are."""
    states = (await ledger.states()).values()
    held = [demand(one.resource) for one in states if one.phase in HOLDING_PHASES]
    async with ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT name, amount FROM usage WHERE amount <> 0")
        demands = await connection.fetch("SELECT id, demand FROM resources")
    amounts: dict[str, int] = {row["name"]: row["amount"] for row in rows}
    names = {name for one in held for name in one}
    assert amounts == {name: sum(one.get(name, 0) for one in held) for name in names}
    kept = {row["id"]: row["demand"] for row in demands}
    assert kept == {one.resource.id: demand(one.resource) for one in states}
    return amounts.get("volume_gib", 0)


async def ended(ledger: Desk, volume: str, operation_id: str) -> str | None:
    """How an operation stands: its reason where it failed."""
    operations = (await ledger.state(volume)).resource.status.operations
    operation = next(one for one in operations if one.id == operation_id)
    if operation.state is OperationState.FAILED:
        assert operation.error is not None
        return operation.error.reason
    return operation.state.value


async def test_a_growth_is_counted_once_however_often_it_is_asked_and_answered(
    ledger: Desk,
) -> None:
    """From its request, by the difference."""
    made = await volume(ledger, 2)
    operation_id = await grow(ledger, made, 6, id="same")
    await grow(ledger, made, 6, id="same")
    assert await used(ledger) == 6
    (asked,) = ledger.take("GrowVolume")
    for _ in range(2):
        await answer(ledger, asked, outcome(asked.message))
    assert (await used(ledger), await ended(ledger, made, operation_id)) == (6, "done")


async def test_beyond_the_quota_it_fails_and_nothing_is_counted(ledger: Desk) -> None:
    """With the numbers; what another growth has taken is not there for it."""
    first, second = await volume(ledger, 2), await volume(ledger, 2)
    await grow(ledger, first, 7)
    refused = await grow(ledger, second, 4)
    assert await ended(ledger, second, refused) == Reason.QUOTA_EXCEEDED
    assert await used(ledger) == 9
    (asked,) = ledger.take("GrowVolume")
    await answer(ledger, asked, failure())
    assert await used(ledger) == 4
    assert await ended(ledger, second, await grow(ledger, second, 8)) == "running"
    assert await used(ledger) == 10


async def test_of_growths_and_creations_at_once_the_quota_takes_what_it_can(
    ledger: Desk,
) -> None:
    """A round of admission and requests for growth don't both spend the same room."""
    volumes = [await volume(ledger, 1) for _ in range(4)]
    for _ in range(4):
        await ledger.create(vm=new_id("volume"), spec={"size_gib": 2})
    await asyncio.gather(
        admitting.hold_round(ledger.context),
        *(grow(ledger, one, 3) for one in volumes),
        admitting.hold_round(ledger.context),
    )
    assert await used(ledger) == 10


async def ask_by_bus(ledger: Desk, volume: str, **data: object) -> None:
    """As a tenant's own user."""
    tenant = ledger.context.tenants.by_name(TENANT)
    assert tenant is not None
    fields = {"verb": Verb.UPDATE, "kind": "volume", "resource_id": volume, **data}
    message = msgspec.convert(fields, RequestSubmitted)
    envelope = envelope_for(message, source="/ci", subject=volume, tenant=TENANT)
    delivery = Delivery(
        envelope=envelope,
        message=message,
        queue="scheduler.requests",
        routing_key=f"{TENANT}.volume.update",
        headers={},
        user_id=tenant.broker_user,
        reply_to=None,
        repeated=False,
        body=msgspec.json.encode({"data": fields}),
    )
    await handlers.handle_request(delivery, ledger.context)


async def test_by_bus_it_is_the_same(ledger: Desk) -> None:
    """The operation's id is minted; a size that can't be is refused with its field."""
    made = await volume(ledger, 2)
    await ask_by_bus(ledger, made, spec={"size_gib": 4})
    (operation,) = (await ledger.state(made)).resource.status.operations
    assert (operation.size_gib, operation.state) == (4, OperationState.RUNNING)
    assert operation.id.startswith("op-")
    for size, words in ((1, "at least 2"), (0, ">= 1")):
        with pytest.raises(RejectedMessage) as refused:
            await ask_by_bus(ledger, made, spec={"size_gib": size})
        problem = refused.value.problem()
        assert (problem.status, problem.reason) == (422, "bad_fields")
        (error,) = problem.errors
        assert error.pointer == "/data/spec/size_gib"
        assert words in error.detail
    with pytest.raises(RejectedMessage, match="/data/spec/image"):
        await ask_by_bus(ledger, made, spec={"image": "debian-12"})
    with pytest.raises(RejectedMessage, match="Name at least one"):
        await ask_by_bus(ledger, made, spec={"size_gib": None})
    assert await used(ledger) == 4


async def test_a_delete_in_between_gives_all_of_it_back(ledger: Desk) -> None:
    """Whatever the worker says of the growth afterwards."""
    made = await volume(ledger, 2)
    await grow(ledger, made, 6)
    (asked,) = ledger.take("GrowVolume")
    await ledger.request(Verb.DELETE, made, TENANT)
    assert await used(ledger) == 2
    await answer(ledger, asked, outcome(asked.message))
    assert await used(ledger) == 2
    (asked,) = ledger.take("DeprovisionVolume")
    await answer(ledger, asked, outcome(asked.message))
    assert await used(ledger) == 0
    assert (await ledger.state(made)).phase is Phase.DELETED


@pytest.mark.parametrize("seed", range(6))
async def test_the_books_are_right_in_any_order(ledger: Desk, seed: int) -> None:
    """Creations, growths, failures, repeats and deletions, as they come; never beyond the quota."""
    chance = random.Random(seed)
    volumes: list[str] = []
    mail: list[Delivery] = []
    for _ in range(60):
        what = chance.choice(["create", "grow", "grow", "grow", "delete", "answer", "answer"])
        if what == "create" or not volumes:
            spec = {"size_gib": chance.randint(1, 3)}
            volumes.append(await ledger.create(vm=new_id("volume"), spec=spec))
            await admitting.hold_round(ledger.context)
        elif what == "grow":
            await grow(ledger, chance.choice(volumes), chance.randint(1, 7))
        elif what == "delete" and chance.random() < 0.5:
            await ledger.request(Verb.DELETE, chance.choice(volumes), TENANT)
        elif mail:
            asked = mail[chance.randrange(len(mail))]
            if chance.random() < 0.8:  # else it comes again, much later
                mail.remove(asked)
            refused = isinstance(asked.message, GrowVolume) and chance.random() < 0.3
            await answer(ledger, asked, failure() if refused else outcome(asked.message))
        mail += ledger.take(*COMMANDS)
        assert await used(ledger) <= 10
    for one in volumes:
        await ledger.request(Verb.DELETE, one, TENANT)
    while mail := mail + ledger.take(*COMMANDS):
        asked = mail.pop(0)
        await answer(ledger, asked, outcome(asked.message))
    assert await used(ledger) == 0
    assert {one.phase for one in (await ledger.states()).values()} == {Phase.DELETED}
