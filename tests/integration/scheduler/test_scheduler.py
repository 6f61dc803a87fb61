"""The scheduler as a process: what it does with messages, and what survives its death."""

from __future__ import annotations

import asyncio

from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    CommandFailed,
    GetCapacity,
    GetQuota,
    QuotaReported,
    RequestSubmitted,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.neighbours import SPEC, Neighbours
from tests.support.installation import Installation
from tests.unit.scheduler.driver import ANSWERS


async def test_a_request_becomes_active_and_then_deleted(neighbours: Neighbours) -> None:
    """Every revision is told exactly once, in order, from the first to the last phase."""
    vm = await neighbours.create(name="web", labels={"a": "b"})
    active = await neighbours.until(vm, Phase.ACTIVE)
    assert (active.name, active.labels) == ("web", {"a": "b"})
    assert active.status.placement is not None
    await neighbours.delete(vm)
    await neighbours.until(vm, Phase.DELETED)
    revisions = sorted(one.revision for one in neighbours.seen[vm])
    assert revisions == list(range(1, len(revisions) + 1))


async def test_the_same_request_delivered_twice_is_one(neighbours: Neighbours) -> None:
    """A second delivery, with the same id, sends no second command."""
    vm = new_id("vm")
    await asyncio.gather(
        *(neighbours.request(Verb.CREATE, vm, id=f"once-{vm}", spec=SPEC) for _ in range(5))
    )
    await neighbours.until(vm, Phase.ACTIVE)
    names = [c.envelope.message_name for c in neighbours.commands if c.envelope.subject == vm]
    assert sorted(names) == ["PrepareVmPort", "ProvisionVm"]


async def test_a_delete_that_overtakes_its_create_is_not_lost(neighbours: Neighbours) -> None:
    """It comes back until the resource is there."""
    vm = new_id("vm")
    await neighbours.delete(vm)
    await neighbours.request(Verb.CREATE, vm, spec=SPEC)
    await neighbours.until(vm, Phase.DELETED)


async def test_over_quota_waits_and_is_served_when_something_goes(neighbours: Neighbours) -> None:
    """The reason and the position are told, and change as the queue moves."""
    vms = [await neighbours.create("openlab") for _ in range(2)]
    for vm in vms:
        await neighbours.until(vm, Phase.ACTIVE)
    third = await neighbours.create("openlab")
    await neighbours.until(third, Phase.WAITING)
    fourth = await neighbours.create("openlab")
    waiting = await neighbours.until(fourth, Phase.WAITING)
    assert waiting.status.reason is Reason.QUOTA_EXCEEDED
    assert waiting.status.queue is not None
    assert waiting.status.queue.position == 2
    await neighbours.delete(vms[0], "openlab")
    await neighbours.until(third, Phase.ACTIVE)
    for vm in (vms[1], third, fourth):
        await neighbours.delete(vm, "openlab")
        await neighbours.until(vm, Phase.DELETED)
    query = GetQuota()
    envelope = envelope_for(query, source="/t", subject="quota", tenant="openlab")
    quota = await neighbours.door.query("scheduler", envelope, query)
    assert isinstance(quota, QuotaReported)
    assert (quota.limits, quota.used, quota.waiting) == ({"vms": 2}, {"vms": 0}, 0)


async def test_killed_at_every_step_it_goes_on(
    scheduled: Installation, neighbours: Neighbours
) -> None:
    """Kill -9 after each command was sent and before its answer is taken: nothing is done twice."""
    neighbours.auto = False
    vm = await neighbours.create()
    for name in ("PrepareVmPort", "ProvisionVm"):
        command = await neighbours.command(vm, name)
        scheduled.kill("scheduler")
        await neighbours.answer(command.envelope, ANSWERS[name])
        scheduled.start("scheduler")
    await neighbours.until(vm, Phase.ACTIVE)
    attempts = [(c.envelope.step, c.envelope.attempt) for c in neighbours.commands]
    assert sorted(set(attempts)) == [("port", 1), ("server", 1)]
    neighbours.auto = True
    await neighbours.delete(vm)
    await neighbours.until(vm, Phase.DELETED)


async def test_a_retry_is_a_timer_in_the_ledger(
    scheduled: Installation, neighbours: Neighbours
) -> None:
    """A failed attempt is tried again by whichever scheduler lives when it is due."""
    neighbours.auto = False
    vm = await neighbours.create()
    command = await neighbours.command(vm, "PrepareVmPort")
    problem = Problem(title="x", detail="refused", reason=Reason.BACKEND_UNAVAILABLE)
    failed = CommandFailed(command="PrepareVmPort", problem=problem, retryable=True)
    neighbours.auto = True
    await neighbours.answer(command.envelope, failed)
    scheduled.kill("scheduler")
    scheduled.start("scheduler")
    await neighbours.until(vm, Phase.ACTIVE)
    assert any(r.status.reason is Reason.BACKEND_UNAVAILABLE for r in neighbours.seen[vm])
    await neighbours.delete(vm)
    await neighbours.until(vm, Phase.DELETED)


async def test_a_command_its_worker_rejects_ends_its_step(neighbours: Neighbours) -> None:
    """From the dead letters it comes back as the step's failure, with the reason."""
    from shared.bus import Delivery, RejectedMessage

    async def reject(delivery: Delivery) -> None:
        if delivery.envelope.message_name == "PrepareVmPort":
            raise RejectedMessage("no such field")
        await neighbours._take_command(delivery)

    await neighbours.worker.drain(5)
    await neighbours.worker.consume("vm_worker.commands", reject)
    vm = await neighbours.create()
    failed = await neighbours.until(vm, Phase.FAILED)
    assert failed.status.reason is Reason.COMMAND_REJECTED
    assert failed.status.error is not None
    assert failed.status.error.detail == "no such field"


async def test_what_nobody_may_ask_lands_in_the_dead_letters(neighbours: Neighbours) -> None:
    """An unknown tenant, a secret in the clear, a foreign id: refused, and nothing stops."""
    vm = new_id("vm")
    await neighbours.request(Verb.CREATE, vm, "nobody", spec=SPEC)
    await neighbours.request(Verb.CREATE, vm, spec={**SPEC, "user_data": "secret"})
    await neighbours.request(Verb.CREATE, vm, spec={"image": 5})
    message = RequestSubmitted(verb=Verb.CREATE, kind="vm", resource_id="vm-x", spec=SPEC)
    envelope = envelope_for(message, source="/t", subject="vm-x", tenant="bigtop")
    await neighbours.door.publish(outgoing.request(envelope, message))
    await neighbours.settle()
    assert vm not in neighbours.seen
    assert "vm-x" not in neighbours.seen


async def test_capacity_is_told(neighbours: Neighbours) -> None:
    """What the tenant's clouds can take."""
    query = GetCapacity()
    envelope = envelope_for(query, source="/t", subject="capacity", tenant="bigtop")
    capacity = await neighbours.door.query("scheduler", envelope, query)
    assert [one.cloud for one in capacity.clouds] == ["devcloud"]  # type: ignore[attr-defined]
