from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from services.admin.access import ACCESS
from shared.bus import Delivery
from shared.contract.codec import decode, envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    ChangeVmPower,
    DeprovisionVm,
    Message,
    VmBuildStarted,
    VmDeprovisioned,
    VmObserved,
)
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.contract.topology import EVENTS
from shared.runtime.deadline import DeadlineExpired
from shared.runtime.errors import (
    BackendUnavailable,
    ColobusError,
    OutcomeUnknown,
    PermanentError,
    TemporaryError,
)
from shared.worker import outcome
from shared.worker.command import Command, Observation
from shared.worker.errors import RefusedForNow

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def delivered(
    message: Message,
    *,
    attempt: int | None = None,
    repeated: bool = False,
    not_after: datetime | None = None,
    subject: str = "vm-1",
) -> Delivery:
    envelope = envelope_for(
        message,
        id="command-1",
        source="scheduler",
        subject=subject,
        tenant="bigtop",
        correlationid="request-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        attempt=attempt,
        step="server",
        not_after=not_after,
    )
    return Delivery(
        envelope, message, "vm_worker.commands", "vm_worker.X", {}, None, None, repeated
    )


def test_an_event_tells_whose_command_it_answers() -> None:
    """Step, attempt, request and trace of the command come back; it is the event's cause."""
    command = Command.of(delivered(DeprovisionVm(cloud="a"), attempt=3))
    (message,) = outcome.events("vm_worker", "vm", command, [VmDeprovisioned()])
    envelope, decoded = decode(message.body)
    assert (message.exchange, message.routing_key) == (
        "colobus.events",
        "bigtop.vm.VmDeprovisioned",
    )
    assert decoded == VmDeprovisioned()
    assert envelope.id.startswith("command-1/VmDeprovisioned/")
    assert envelope.source == "vm_worker"
    assert (envelope.subject, envelope.tenant) == ("vm-1", "bigtop")
    assert (envelope.step, envelope.attempt) == ("server", 3)
    assert (envelope.correlationid, envelope.causationid) == ("request-1", "command-1")
    assert envelope.traceparent == command.envelope.traceparent


def test_what_comes_to_something_else_is_another_event() -> None:
    """A second delivery that made another server is heard; one that came to the same is not."""
    command = Command.of(delivered(DeprovisionVm(cloud="a"), attempt=3))
    made = [VmBuildStarted(server_id=one) for one in ("s-1", "s-1", "s-2")]
    ids = [decode(one.body)[0].id for one in outcome.events("vm_worker", "vm", command, made)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_a_failure_tells_whether_the_backend_may_yet_do_it() -> None:
    """And how long the backend wants to be left alone."""
    command = Command.of(delivered(DeprovisionVm(cloud="a"), attempt=3))
    open_end = outcome.failed(command, OutcomeUnknown("no answer", retry_after=15))
    assert (open_end.unknown, open_end.retry_after, open_end.retryable) == (True, 15, True)
    known = outcome.failed(command, BackendUnavailable("refused"))
    assert (known.unknown, known.retry_after, known.retryable) == (False, None, True)


def test_an_observation_is_about_its_own_resource_and_of_no_step() -> None:
    """One inspection answers for many tenants' VMs, each under its own name."""
    command = Command.of(delivered(DeprovisionVm(cloud="a"), attempt=3))
    seen = Observation("vm-2", "openlab", VmObserved(observed_at=NOW, gone=True))
    (message,) = outcome.events("vm_worker", "vm", command, [seen])
    envelope, _ = decode(message.body)
    assert message.routing_key == "openlab.vm.VmObserved"
    assert envelope.id.startswith("command-1/VmObserved/")
    assert envelope.id.endswith("/vm-2")
    assert (envelope.subject, envelope.tenant) == ("vm-2", "openlab")
    assert (envelope.step, envelope.attempt) == (None, None)


@pytest.mark.parametrize(
    ("worker", "own", "kind", "word"),
    [
        ("iscsi_worker", "store", "volume", "volume"),
        ("iscsi_worker", "store", "attachment", "attachment"),
        ("iscsi_worker", "store", "machine", "store"),
        ("vm_worker", "vm", "vm", "vm"),
        ("vm_worker", "vm", "machine", "vm"),
        ("baremetal_worker", "machine", "machine", "machine"),
        ("vm_worker", "vm", "unknown", "vm"),
    ],
)
def test_each_word_of_a_routing_key_belongs_to_one_worker(
    worker: str, own: str, kind: str, word: str
) -> None:
    """The broker lets a worker write under its words alone, whatever resource it tells of."""
    subject = new_id(kind)
    command = Command.of(delivered(DeprovisionVm(cloud="a"), subject=subject))
    seen = Observation(subject, "openlab", VmObserved(observed_at=NOW, gone=True))
    failed = outcome.failed(command, PermanentError("no"))
    told = outcome.events(worker, own, command, [VmDeprovisioned(), failed, seen])
    assert [one.routing_key for one in told] == [
        f"bigtop.{word}.VmDeprovisioned",
        f"bigtop.{word}.CommandFailed",
        f"openlab.{word}.VmObserved",
    ]
    allowed = ACCESS[worker].publishes[EVENTS]
    assert all(re.search(allowed, one.routing_key) for one in told)
    assert {decode(one.body)[0].subject for one in told} == {subject}


def test_the_same_command_answers_under_the_same_ids() -> None:
    """A second delivery makes no second event: the inbox knows the id."""
    answers = [VmBuildStarted(server_id="s")]
    first = outcome.events("w", "vm", Command.of(delivered(DeprovisionVm(cloud="a"))), answers)
    again = delivered(DeprovisionVm(cloud="a"), repeated=True)
    second = outcome.events("w", "vm", Command.of(again), answers)
    assert [one.id for one in first] == [one.id for one in second]


@pytest.mark.parametrize(
    ("attempt", "redelivered", "look_first"),
    [(None, False, False), (1, False, False), (1, True, True), (2, False, True), (3, True, True)],
)
def test_a_command_that_may_have_begun_before_says_so(
    attempt: int | None, redelivered: bool, look_first: bool
) -> None:
    """Redelivered, republished, or a later attempt: look before you make."""
    message = DeprovisionVm(cloud="a")
    command = Command.of(delivered(message, attempt=attempt, repeated=redelivered))
    assert command.repeated is look_first


def test_a_commands_deadline_is_its_not_after() -> None:
    """What is to start nothing later is over then."""
    past, future = datetime.now(UTC) - timedelta(1), datetime.now(UTC) + timedelta(1)
    message = DeprovisionVm(cloud="a")
    assert Command.of(delivered(message, not_after=past)).deadline.expired
    assert not Command.of(delivered(message, not_after=future)).deadline.expired
    assert not Command.of(delivered(message)).deadline.expired


@pytest.mark.parametrize(
    ("error", "step_retries", "request_may_succeed_later", "overload"),
    [
        (BackendUnavailable("down"), True, True, True),
        (DeadlineExpired(), True, True, True),
        (TemporaryError("busy", reason=Reason.BACKEND_REFUSED), True, True, False),
        (PermanentError("no", reason=Reason.BACKEND_REFUSED), False, False, False),
        (RefusedForNow("quota", reason=Reason.QUOTA_EXCEEDED), False, True, False),
        (outcome.expired(), True, True, False),
    ],
)
def test_an_error_says_whether_to_try_again(
    error: ColobusError, step_retries: bool, request_may_succeed_later: bool, overload: bool
) -> None:
    """The step's retry and the request's are two questions: quota ends only the step."""
    command = Command.of(delivered(DeprovisionVm(cloud="a")))
    failed = outcome.failed(command, error)
    assert failed.command == "DeprovisionVm"
    assert failed.retryable is step_retries
    assert failed.problem.retryable is request_may_succeed_later
    assert failed.problem.reason == error.reason
    assert failed.problem.detail == error.detail
    assert outcome.is_overload(error) is overload


def test_a_failed_operation_is_named() -> None:
    """The ledger finds the operation of a failed power action."""
    message = ChangeVmPower(cloud="a", server_id="s", operation_id="op-1", verb=Verb.STOP)
    failed = outcome.failed(Command.of(delivered(message)), PermanentError("no"))
    assert failed.operation_id == "op-1"


def test_a_command_without_a_place_in_time_is_no_failure_of_its_backend() -> None:
    """It comes again, its bound stays, and the words say who is before it."""
    failed = outcome.failed(Command.of(delivered(DeprovisionVm(cloud="a"))), outcome.busy())
    assert failed.retryable
    assert failed.problem.reason == Reason.NO_CAPACITY
    assert "busy with others" in (failed.problem.detail or "")
    assert not outcome.is_overload(outcome.busy())
