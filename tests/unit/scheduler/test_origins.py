"""Who may say what to the scheduler."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.scheduler import origins
from services.scheduler.handlers import EVENT_HANDLERS
from services.scheduler.origins import SAID_BY, WORDS, WORKERS, check_dead_command, check_event
from shared.bus import FORBIDDEN, Delivery, RejectedMessage
from shared.contract.codec import decode, envelope_for
from shared.contract.identifiers import new_id
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CommandFailed,
    MachineObserved,
    Message,
    ProvisionVm,
    VmInspectionFailed,
    VolumeProvisioned,
)
from shared.contract.problems import Problem
from tests.contract.golden_files import as_bytes, golden

VM = new_id("vm")
PROBLEM = Problem(title="x")
FAILED = CommandFailed(command="ProvisionVm", problem=PROBLEM, retryable=False)
COMMAND = ProvisionVm(cloud="c", image="i", flavor="f", port_id="p")


def _delivery(
    message: Message, key: str, *, tenant: str = "bigtop", subject: str = VM, **headers: Any
) -> Delivery:
    return Delivery(
        envelope=envelope_for(message, source="/w", subject=subject, tenant=tenant),
        message=message,
        queue="scheduler.events",
        routing_key=key,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        user_id=None,
        reply_to=None,
        repeated=False,
    )


def test_every_event_that_is_handled_has_somebody_who_may_say_it() -> None:
    """A new event needs its row, or nobody is heard."""
    assert set(EVENT_HANDLERS) == set(SAID_BY)
    assert all(workers and workers <= WORKERS for workers in SAID_BY.values())


def test_every_kind_is_a_word_of_its_worker() -> None:
    """As the contract has it; the broker's permissions are tested against the same table."""
    assert {kind.name: kind.worker for kind in KINDS.values()}.items() <= WORDS.items()


@pytest.mark.parametrize("event", SAID_BY, ids=lambda event: str(event.__name__))
def test_an_event_under_its_own_key_counts(event: type[Message]) -> None:
    """Tenant, kind and name, for each that is in the table, and for each that may say it."""
    _, message = decode(as_bytes(golden(event.__name__)))
    for speaker in SAID_BY[event]:
        kind = next(word for word, worker in WORDS.items() if worker == speaker)
        key = f"bigtop.{kind}.{event.__name__}"
        check_event(_delivery(message, key, subject=new_id(kind)))


def test_what_is_about_a_store_is_said_under_a_word_of_its_own() -> None:
    """Censuses, and inspections that failed, are about no one resource."""
    census = CommandFailed(command="TakeCensus", problem=PROBLEM, retryable=True)
    check_event(_delivery(census, "bigtop.store.CommandFailed", subject="iscsi_worker/rack"))


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("bigtop.webhook.CommandFailed", {}),
        ("bigtop.webhook.x", {}),
        ("bigtop.vm.VmObserved", {}),
        ("openlab.vm.CommandFailed", {}),
        ("bigtop.vm", {}),
        ("", {}),
        ("scheduler.events", {}),
        ("bigtop.vm.CommandFailed.x", {}),
        ("x.bigtop.vm.CommandFailed", {}),
        ("bigtop.vm.CommandFailed", {"tenant": "openlab"}),
        ("bigtop.webhook.CommandFailed", {"tenant": "bigtop.webhook"}),
    ],
)
def test_an_event_under_another_key_counts_for_nothing(key: str, changes: dict[str, Any]) -> None:
    """Another kind, another message, another tenant, more or fewer words."""
    with pytest.raises(RejectedMessage, match="is no key for CommandFailed") as refused:
        check_event(_delivery(FAILED, key, **changes))
    assert refused.value.reason == FORBIDDEN


def test_no_worker_speaks_of_what_is_in_others_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its own kind neither, not even beside what is its own."""
    monkeypatch.setitem(WORDS, "volume", "iscsi_worker")
    said_by: dict[type[Message], frozenset[str]] = {
        CommandFailed: frozenset({"vm_worker", "iscsi_worker"}),
        VmInspectionFailed: frozenset({"iscsi_worker"}),
    }
    monkeypatch.setattr(origins, "SAID_BY", said_by)
    seen = VmInspectionFailed(cloud="c", resource_ids=("volume-x", VM), problem=PROBLEM)
    for message, subject in ((FAILED, VM), (seen, "iscsi_worker/c")):
        key = f"bigtop.volume.{type(message).__name__}"
        with pytest.raises(RejectedMessage, match="not in the hands of iscsi_worker"):
            check_event(_delivery(message, key, subject=subject))
    check_event(_delivery(FAILED, "bigtop.volume.CommandFailed", subject="iscsi_worker/c"))


def test_of_a_machine_each_worker_speaks_under_its_own_word_and_of_its_own_steps() -> None:
    """It is made by three of them; none can say for another that a step is done, or failed."""
    machine = new_id("machine")
    made = VolumeProvisioned(rbd_image="i", size_bytes=1)
    check_event(_of_step(made, "bigtop.store.VolumeProvisioned", machine, "root"))
    check_event(_of_step(FAILED, "bigtop.store.CommandFailed", machine, "root"))
    check_event(_of_step(FAILED, "bigtop.vm.CommandFailed", machine, "port"))
    check_event(_of_step(FAILED, "bigtop.machine.CommandFailed", machine, "boot"))
    with pytest.raises(RejectedMessage, match="is no key for VolumeProvisioned"):
        check_event(_of_step(made, "bigtop.machine.VolumeProvisioned", machine, "root"))
    for word in ("store", "vm"):
        with pytest.raises(RejectedMessage, match="step boot of machine-"):
            check_event(_of_step(FAILED, f"bigtop.{word}.CommandFailed", machine, "boot"))
    seen = MachineObserved(observed_at=datetime.now(UTC), provision_state="active")
    with pytest.raises(RejectedMessage, match="is no key for MachineObserved"):
        check_event(_delivery(seen, "bigtop.store.MachineObserved", subject=machine))


def _of_step(message: Message, key: str, subject: str, step: str) -> Delivery:
    delivery = _delivery(message, key, subject=subject)
    return replace(delivery, envelope=msgspec.structs.replace(delivery.envelope, step=step))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_death": []},
        {"x_death": [{"queue": "vm_worker.commands", "reason": "delivery_limit"}]},
    ],
)
def test_a_dead_command_of_its_worker_counts(headers: dict[str, Any]) -> None:
    """The worker has buried it, or the broker has, that worker's processes being killed by it."""
    check_dead_command(_delivery(COMMAND, "vm_worker.ProvisionVm", **headers))


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("webhook_worker.ProvisionVm", {}),
        ("vm_worker.DeprovisionVm", {}),
        ("vm_worker.commands", {}),
        ("scheduler.ProvisionVm", {}),
        (
            "vm_worker.ProvisionVm",
            {"x_death": [{"queue": "front_door.live.x", "reason": "expired"}]},
        ),
        (
            "vm_worker.ProvisionVm",
            {"x_death": [{"queue": "vm_worker.commands", "reason": "expired"}]},
        ),
        ("vm_worker.ProvisionVm", {"x_death": "yes"}),
    ],
)
def test_a_dead_command_of_anybody_else_counts_for_nothing(
    key: str, headers: dict[str, Any]
) -> None:
    """Another key, another queue, another death."""
    with pytest.raises(RejectedMessage):
        check_dead_command(_delivery(COMMAND, key, **headers))


def test_a_dead_command_that_waited_for_the_database_still_counts() -> None:
    """The delay queue's own death is no news about the command."""
    death = [{"queue": "colobus.delay.1s", "reason": "expired"}]
    late = _delivery(COMMAND, "vm_worker.ProvisionVm", x_death=death)
    check_dead_command(replace(late, delays=1))
    with pytest.raises(RejectedMessage):
        check_dead_command(late)
