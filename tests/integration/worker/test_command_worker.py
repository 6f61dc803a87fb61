"""The command loop on the real broker, with a backend that does as the test says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.messages import (
    ChangeVmPower,
    CommandFailed,
    DeprovisionVm,
    Message,
    VmDeprovisioned,
    VmPowerChangeStarted,
)
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.runtime.errors import BackendUnavailable, ColobusError, PermanentError
from shared.worker.command import Command
from shared.worker.errors import RefusedForNow
from tests.integration.worker.small_worker import NAME, scene
from tests.support.bus import Broker, until

STOP = ChangeVmPower(cloud="a", server_id="s", operation_id="op-1", verb=Verb.STOP)


async def test_a_command_is_answered_and_then_acknowledged(broker: Broker) -> None:
    """The event names command, step and attempt; nothing of the command is left."""
    async with scene(broker) as it:
        id = await it.send(DeprovisionVm(cloud="a"))
        answer = await it.answer_to(id)
        assert answer.message == VmDeprovisioned()
        assert answer.routing_key == "bigtop.vm.VmDeprovisioned"
        assert answer.envelope.id.startswith(f"{id}/VmDeprovisioned/")
        assert (answer.envelope.step, answer.envelope.attempt) == ("server", 1)
    assert await broker.depth(f"{NAME}.commands") == 0


async def test_nothing_starts_after_not_after(broker: Broker) -> None:
    """The handler never hears of it; the scheduler may try again."""
    async with scene(broker) as it:
        late = datetime.now(UTC) - timedelta(seconds=1)
        answer = await it.answer_to(await it.send(STOP, not_after=late))
        assert isinstance(answer.message, CommandFailed)
        assert answer.message.command == "ChangeVmPower"
        assert answer.message.problem.reason == Reason.COMMAND_EXPIRED
        assert answer.message.operation_id == "op-1"
        assert answer.message.retryable
        assert it.backend.commands == []


@dataclass
class Hanging:
    """A cloud ``a`` that hangs until it is released; all others work."""

    busy: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def act(self, command: Command[Message]) -> None:
        """Be asked by a handler."""
        if getattr(command.message, "cloud", None) == "a":
            self.busy.set()
            await self.release.wait()


@pytest.mark.parametrize("subject", ["vm-1", "vm-2"])
async def test_a_command_that_waits_too_long_is_answered_when_its_time_is_over(
    broker: Broker, subject: str
) -> None:
    """Whether for its backend or for another of its sort: not when there is room at last."""
    cloud = Hanging()
    async with scene(broker, cloud.act, maximum=1) as it:
        first = await it.send(DeprovisionVm(cloud="a"))
        await cloud.busy.wait()
        soon = datetime.now(UTC) + timedelta(seconds=0.5)
        second = await it.send(DeprovisionVm(cloud="a"), subject=subject, not_after=soon)
        answer = await it.answer_to(second)
        assert isinstance(answer.message, CommandFailed)
        assert answer.message.problem.reason == Reason.COMMAND_EXPIRED
        cloud.release.set()
        assert (await it.answer_to(first)).message == VmDeprovisioned()
        assert len(it.backend.commands) == 1


async def test_a_cloud_that_hangs_does_not_hold_up_the_commands_of_another(broker: Broker) -> None:
    """More commands than can be here at once: those without a place go back, to come again."""
    cloud = Hanging()
    async with scene(broker, cloud.act, maximum=1, patience=0.2) as it:
        await it.send(DeprovisionVm(cloud="a"))
        await cloud.busy.wait()
        waiting = [
            await it.send(DeprovisionVm(cloud="a"), subject=f"vm-a-{number}")
            for number in range(200)
        ]
        others = await it.send(DeprovisionVm(cloud="b"), subject="vm-b")
        assert (await it.answer_to(others)).message == VmDeprovisioned()
        answer = await it.answer_to(waiting[0])
        assert isinstance(answer.message, CommandFailed)
        assert answer.message.retryable
        assert answer.message.problem.reason == Reason.NO_CAPACITY
        assert it.limits.of(DeprovisionVm(cloud="a")).limit == 1
        cloud.release.set()


async def test_a_second_delivery_is_not_answered_before_the_first(broker: Broker) -> None:
    """Its time is over, but that of the work is not: it would be taken for never begun."""
    cloud = Hanging()
    async with scene(broker, cloud.act) as it:
        soon = datetime.now(UTC) + timedelta(seconds=3)
        id = await it.send(DeprovisionVm(cloud="a"), not_after=soon)
        await cloud.busy.wait()
        await it.send(DeprovisionVm(cloud="a"), id=id, not_after=soon, repeated=True)
        marker = await it.send(DeprovisionVm(cloud="b"), subject="vm-b")
        await it.answer_to(marker)
        await until(lambda: datetime.now(UTC) > soon)
        other = await it.send(DeprovisionVm(cloud="b"), subject="vm-b")
        await it.answer_to(other)
        assert all(one.envelope.causationid != id for one in it.events.deliveries)
        cloud.release.set()
        assert (await it.answer_to(id)).message == VmDeprovisioned()


@pytest.mark.parametrize(
    ("error", "retryable", "problem_retryable"),
    [
        (BackendUnavailable("Nova is down"), True, True),
        (PermanentError("no such flavor", reason=Reason.FLAVOR_NOT_FOUND), False, False),
        (RefusedForNow("Quota exceeded", reason=Reason.QUOTA_EXCEEDED), False, True),
    ],
)
async def test_an_error_becomes_an_event_with_the_backends_words(
    broker: Broker, error: ColobusError, retryable: bool, problem_retryable: bool
) -> None:
    """No delay queue, no second try here: whether and when is the scheduler's to decide."""

    async def fail(_: Command[Message]) -> None:
        raise error

    async with scene(broker, fail) as it:
        answer = await it.answer_to(await it.send(DeprovisionVm(cloud="a")))
        assert isinstance(answer.message, CommandFailed)
        assert answer.message.retryable is retryable
        assert answer.message.problem.retryable is problem_retryable
        assert answer.message.problem.reason == error.reason
        assert answer.message.problem.detail == error.detail
        assert len(it.backend.commands) == 1


async def test_a_bug_is_tried_again_and_holds_nobody_up(broker: Broker) -> None:
    """Our own error is no answer: the command comes back, as repeated, while others go on."""
    seen: list[bool] = []

    async def fail_once(command: Command[Message]) -> None:
        if command.resource_id == "vm-buggy":
            seen.append(command.repeated)
            if len(seen) == 1:
                raise KeyError("ours")

    async with scene(broker, fail_once) as it:
        buggy = await it.send(DeprovisionVm(cloud="a"), subject="vm-buggy")
        other = await it.send(DeprovisionVm(cloud="a"))
        assert (await it.answer_to(other)).message == VmDeprovisioned()
        assert (await it.answer_to(buggy)).message == VmDeprovisioned()
        assert seen == [False, True]


async def test_a_command_without_a_handler_goes_to_the_dead_letters(broker: Broker) -> None:
    """With its reason, so that its step ends; the queue is free for others."""
    async with scene(broker) as it:
        id = await it.send(VmDeprovisioned())
        dead = await broker.take("scheduler.dead_commands")
        assert json.loads(dead.body)["id"] == id
        headers = dead.header.properties.headers
        assert headers is not None
        assert "no handler" in str(headers["x-colobus-reason"])
        assert (await it.answer_to(await it.send(STOP))).message == VmPowerChangeStarted(
            operation_id="op-1"
        )


async def test_a_command_of_nobody_who_could_be_answered_is_not_carried_out(
    broker: Broker,
) -> None:
    """Events have the tenant in their routing keys: the broker would refuse them each time."""
    done: list[Command[Message]] = []

    async def carry_out(command: Command[Message]) -> None:
        done.append(command)

    async with scene(broker, carry_out) as it:
        for tenant in ("", "a.b", "x" * 300, "#", "a\u00f6"):
            id = await it.send(STOP, tenant=tenant)
            dead = await broker.take("scheduler.dead_commands")
            assert json.loads(dead.body)["id"] == id
            assert "tenant" in str((dead.header.properties.headers or {})["x-colobus-reason"])
        await it.answer_to(await it.send(STOP))
    assert [command.envelope.tenant for command in done] == ["bigtop"]


async def test_a_worker_that_dies_loses_nothing(broker: Broker) -> None:
    """Another gets its command, knows that it may have begun, and answers under the same id."""
    begun = asyncio.Event()

    async def hang(_: Command[Message]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with scene(broker, hang) as dying:
        id = await dying.send(DeprovisionVm(cloud="a"))
        await begun.wait()
    async with scene(broker) as it:
        answer = await it.answer_to(id)
        assert answer.envelope.id.startswith(f"{id}/VmDeprovisioned/")
        assert [command.repeated for command in it.backend.commands] == [True]


async def test_a_repeated_command_answers_under_the_same_id(broker: Broker) -> None:
    """What the scheduler publishes twice is answered twice, and counts once."""
    async with scene(broker) as it:
        id = await it.send(DeprovisionVm(cloud="a"))
        await it.answer_to(id)
        await it.send(DeprovisionVm(cloud="a"), id=id, repeated=True)
        await it.events.wait_for(2)
        assert len(set(it.events.ids)) == 1
        assert [command.repeated for command in it.backend.commands] == [False, True]


async def test_two_deliveries_of_one_command_do_not_run_side_by_side(broker: Broker) -> None:
    """The second waits until it can see what the first has made."""
    inside, most = 0, 0

    async def count(_: Command[Message]) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.05)
        inside -= 1

    async with scene(broker, count) as it:
        id = await it.send(STOP)
        await it.send(STOP, id=id, repeated=True)
        await it.events.wait_for(2)
    assert most == 1


async def test_an_undo_waits_for_what_was_sent_again_before_it(broker: Broker) -> None:
    """Else what is made a second time would be there after its end. Others' commands go on."""
    cloud = Hanging()
    async with scene(broker, cloud.act) as it:
        again = await it.send(STOP, repeated=True)
        await cloud.busy.wait()
        undo = await it.send(DeprovisionVm(cloud="b"))
        other = await it.send(DeprovisionVm(cloud="b"), subject="vm-2")
        assert (await it.answer_to(other)).message == VmDeprovisioned()
        assert [one.envelope.id for one in it.backend.commands] == [again, other]
        cloud.release.set()
        assert (await it.answer_to(undo)).message == VmDeprovisioned()
        assert [one.envelope.id for one in it.backend.commands] == [again, other, undo]


async def test_a_burst_never_exceeds_the_bound_of_its_cloud(broker: Broker) -> None:
    """Sixty commands at once reach the backend a few at a time, and all are answered."""
    inside, most = 0, 0

    async def count(_: Command[Message]) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async with scene(broker, count, maximum=4) as it:
        for number in range(60):
            await it.send(DeprovisionVm(cloud="a"), subject=f"vm-{number}")
        await it.events.wait_for(60)
        assert len(set(it.events.ids)) == 60
    assert 1 < most <= 4


async def test_a_faltering_cloud_gets_less_and_recovers(broker: Broker) -> None:
    """Time-outs halve what may be under way; successes bring it back, one by one."""
    down = True

    async def falter(_: Command[Message]) -> None:
        if down:
            raise BackendUnavailable("time-out")

    async with scene(broker, falter, maximum=8) as it:
        message = DeprovisionVm(cloud="a")
        for _ in range(3):
            await it.answer_to(await it.send(message))
        assert it.limits.of(message).limit == 1
        assert it.limits.of(DeprovisionVm(cloud="b")).limit == 8
        down = False
        for number in range(6):
            await it.answer_to(await it.send(message, subject=f"vm-{number}"))
        assert it.limits.of(message).limit > 2
