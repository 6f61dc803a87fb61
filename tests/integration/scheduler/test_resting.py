"""What workers' answers teach of their clouds: rests begin, and end, on the real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.scheduler import admitting, cloud_health
from services.scheduler.cloud_health import Health
from services.scheduler.ledger import utc_now
from shared.contract.messages import CommandFailed, Message
from shared.contract.problems import Problem, Reason
from tests.integration.scheduler.desk import Desk, desk
from tests.unit.scheduler.driver import ANSWERS


@pytest.fixture
async def ledger(ledger_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """The scheduler's rooms on an empty ledger, with two clouds that rest after one failure."""
    quota = {"bigtop": {"vms": 50}}
    clouds = ("a", "b")
    async with desk(ledger_dsn, tmp_path, quota, clouds=clouds, rest_failures=1) as made:
        yield made


def failed(command: str, reason: Reason, *, retryable: bool) -> CommandFailed:
    """A worker's answer to a command that failed."""
    problem = Problem(title="x", detail="words", reason=reason, retryable=True)
    return CommandFailed(command=command, problem=problem, retryable=retryable)


async def answer(ledger: Desk, name: str, event: Message | None = None) -> str:
    """The worker answers the one command of this name; return the VM's id."""
    (command,) = ledger.take(name)
    envelope = command.envelope
    await ledger.event(
        event or ANSWERS[name],
        envelope.subject,
        envelope.tenant,
        step=envelope.step,
        attempt=envelope.attempt,
    )
    return envelope.subject


async def health(ledger: Desk, cloud: str) -> Health:
    """How the ledger says that a cloud does."""
    async with ledger.database.connection() as connection:
        return (await cloud_health.healths(connection)).get(cloud, Health(cloud))


async def rest(ledger: Desk, cloud: str, seconds: int) -> None:
    """Let the cloud rest for so long from now; its rest is over where that is in the past."""
    async with ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO cloud_failures (cloud, failures, last_failure_at, streak, rests,"
            " resting_until) VALUES ($1, 1, now(), 1, 1, now() + make_interval(secs => $2))",
            *(cloud, seconds),
        )


async def created(ledger: Desk) -> tuple[str, str]:
    """A VM that a round has admitted, and its cloud."""
    vm = await ledger.create()
    await admitting.hold_round(ledger.context)
    return vm, (await ledger.state(vm)).place


@pytest.mark.parametrize("reason", [Reason.QUOTA_EXCEEDED, Reason.IMAGE_NOT_FOUND])
async def test_a_trial_that_nova_refuses_ends_the_rest(ledger: Desk, reason: Reason) -> None:
    """Nova has answered: there is nothing more to be tried, and nobody waits for another trial."""
    await rest(ledger, "a", -1)
    assert (await created(ledger))[1] == "a"
    await answer(ledger, "PrepareVmPort")
    assert (await health(ledger, "a")).rest(utc_now()) is not None
    await answer(ledger, "ProvisionVm", failed("ProvisionVm", reason, retryable=False))
    assert (await health(ledger, "a")).rest(utc_now()) is None


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("ProvisionVm", Reason.COMMAND_EXPIRED),
        ("ProvisionVm", Reason.COMMAND_REJECTED),
        ("ProvisionVm", Reason.NO_CAPACITY),
        ("PrepareVmPort", Reason.NETWORK_NOT_FOUND),
    ],
)
async def test_what_did_not_reach_nova_ends_no_rest(
    ledger: Desk, command: str, reason: Reason
) -> None:
    """Too late, rejected, without a place in the worker, or Neutron's word alone."""
    await rest(ledger, "a", -1)
    await created(ledger)
    if command == "ProvisionVm":
        await answer(ledger, "PrepareVmPort")
    before = await health(ledger, "a")
    await answer(ledger, command, failed(command, reason, retryable=True))
    assert await health(ledger, "a") == before
    assert before.rest(utc_now()) is not None


async def test_a_late_answer_of_a_cloud_that_was_left_says_nothing_of_the_next(
    ledger: Desk,
) -> None:
    """Neither its failures nor its successes are those of the cloud where the resource is now."""
    vm, cloud = await created(ledger)
    assert cloud == "a"
    refused = failed("PrepareVmPort", Reason.NETWORK_NOT_FOUND, retryable=False)
    await answer(ledger, "PrepareVmPort", refused)
    await answer(ledger, "ReleaseVmPort")
    await admitting.hold_round(ledger.context)
    assert (await ledger.state(vm)).place == "b"
    late: dict[str, Any] = {"step": "port", "attempt": 1}
    timeout = failed("PrepareVmPort", Reason.BACKEND_TIMEOUT, retryable=True)
    await ledger.event(timeout, vm, "bigtop", **late)
    assert (await health(ledger, "b")).failures == 0
    await rest(ledger, "b", 60)
    await ledger.event(ANSWERS["ProvisionVm"], vm, "bigtop", **late)
    assert (await health(ledger, "b")).rest(utc_now()) is not None
    await answer(ledger, "PrepareVmPort")
    await answer(ledger, "ProvisionVm")
    assert (await health(ledger, "b")).rest(utc_now()) is None
