"""Who may say what: an event counts only from a worker that is in a position to say it. Pure.

The broker lets each worker publish under the kinds of its own alone (topic permissions, by
``services.admin``), so a routing key proves who speaks, and no user needs to be known by name. That
the key was looked at by the broker is seen to by the bus, which refuses what came another way
(`shared.contract.topology.belongs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from services.scheduler.app_workflow import APP_WORKFLOW
from services.scheduler.cluster_workflow import CLUSTER_WORKFLOW
from services.scheduler.machine_workflow import MACHINE_WORKFLOW
from services.scheduler.stack_workflow import STACK_WORKFLOW
from services.scheduler.storage_sightings import WORKER as STORAGE_WORKER
from services.scheduler.vm_workflow import VM_WORKFLOW
from services.scheduler.workflows import WORKFLOWS
from shared.bus import FORBIDDEN, Delivery, RejectedMessage
from shared.contract.codec import Envelope
from shared.contract.identifiers import kind_of
from shared.contract.messages import (
    AppChangeStarted,
    AppInspectionFailed,
    CensusTaken,
    CloudNotificationsChanged,
    ClusterInspectionFailed,
    ClusterResizeStarted,
    CommandFailed,
    MachineInspectionFailed,
    MachinePowerChangeStarted,
    Message,
    NodeInventoryTaken,
    OrphanRemoved,
    StackChangeStarted,
    StackInspectionFailed,
    StorageInspectionFailed,
    VmInspectionFailed,
    VmPowerChangeStarted,
)

#: The second words of events' routing keys, and who may publish under them: the kinds. A worker
#: that speaks of what is no resource under a word of its own has a row here, too.
WORDS: dict[str, str] = {kind: definition.worker for kind, definition in WORKFLOWS.items()} | {
    "store": STORAGE_WORKER
}
WORKERS = frozenset(WORDS.values())
#: Whom the resources of a kind are in the hands of.
_HANDS: dict[str, frozenset[str]] = {
    kind: frozenset({definition.worker, *(step.worker for step in definition.steps)})
    for kind, definition in WORKFLOWS.items()
}
#: What is not in the table of a kind's steps: by whom it is said.
_BESIDE: Mapping[type[Message], frozenset[str]] = {
    CommandFailed: WORKERS,
    CensusTaken: WORKERS,
    NodeInventoryTaken: frozenset({MACHINE_WORKFLOW.worker}),
    OrphanRemoved: WORKERS,
    VmPowerChangeStarted: frozenset({VM_WORKFLOW.worker}),
    VmInspectionFailed: frozenset({VM_WORKFLOW.worker}),
    StorageInspectionFailed: frozenset({STORAGE_WORKER}),
    MachinePowerChangeStarted: frozenset({MACHINE_WORKFLOW.worker}),
    MachineInspectionFailed: frozenset({MACHINE_WORKFLOW.worker}),
    ClusterResizeStarted: frozenset({CLUSTER_WORKFLOW.worker}),
    ClusterInspectionFailed: frozenset({CLUSTER_WORKFLOW.worker}),
    AppChangeStarted: frozenset({APP_WORKFLOW.worker}),
    AppInspectionFailed: frozenset({APP_WORKFLOW.worker}),
    StackChangeStarted: frozenset({STACK_WORKFLOW.worker}),
    StackInspectionFailed: frozenset({STACK_WORKFLOW.worker}),
    CloudNotificationsChanged: frozenset({VM_WORKFLOW.worker}),
}
#: Between when a worker may say that it looked at something: a clock may be so far ahead.
_FIRST, _AHEAD = datetime(2020, 1, 1, tzinfo=UTC), timedelta(minutes=10)
#: How a command ends that its worker never answered: its process died over it again and again.
_DIED_OF = "delivery_limit"


def _said() -> Iterator[tuple[type[Message], str]]:
    for definition in WORKFLOWS.values():
        for inspection in definition.inspections:
            yield inspection.observation, inspection.worker
        for step in definition.steps:
            for event in (*step.made_by, *step.undone_by):
                yield event, step.worker
        for event in definition.operations.ended_by if definition.operations else ():
            yield event, definition.worker
    for event, workers in _BESIDE.items():
        for worker in workers:
            yield event, worker


#: Event → the workers that may say it.
SAID_BY: dict[type[Message], frozenset[str]] = {
    event: frozenset(worker for one, worker in _said() if one is event) for event, _ in _said()
}


def check_taken_at(moment: datetime) -> None:
    """Raise `RejectedMessage` for what can't be a worker's clock; one may be minutes ahead."""
    if not _FIRST < moment < datetime.now(UTC) + _AHEAD:
        raise RejectedMessage("taken_at is no time at which anything can have been looked at")


def check_event(delivery: Delivery) -> None:
    """Raise `RejectedMessage` unless the event came from a worker that may say it.

    Its routing key must be the one that is made of its own envelope, and what it is about must be
    in that worker's hands.
    """
    envelope, workers = delivery.envelope, SAID_BY.get(type(delivery.message), frozenset())
    keys = {
        f"{envelope.tenant}.{word}.{envelope.message_name}": worker
        for word, worker in WORDS.items()
        if worker in workers
    }
    worker = keys.get(delivery.routing_key)
    if worker is None:
        raise _forbidden(f"{delivery.routing_key!r} is no key for {envelope.message_name}")
    _check_step(envelope, worker)
    for subject in (envelope.subject, *getattr(delivery.message, "resource_ids", ())):
        _check_hands(subject, worker)


def speaker(delivery: Delivery) -> str:
    """Return the worker that said a checked event: its routing key proves that."""
    return WORDS[delivery.routing_key.split(".")[1]]


def check_dead_command(delivery: Delivery) -> None:
    """Raise `RejectedMessage` unless a worker gave up this very command, or the broker for it.

    Only its worker may write under the command's key to the dead letters; but what the broker
    gives up goes there as the queue wants it, which whoever declares queues may choose. A command
    that the broker gave up after a delay has its queue's name for a key, as anything might that was
    put there: it counts for nothing, and the step ends by its expiry.
    """
    envelope = delivery.envelope
    worker, _, name = delivery.routing_key.partition(".")
    if worker not in WORKERS or name != envelope.message_name:
        raise _forbidden(f"{delivery.routing_key!r} is no key for a dead {envelope.message_name}")
    if delivery.given_up not in (None, (f"{worker}.commands", _DIED_OF)):
        raise _forbidden(f"given up by {delivery.given_up}, and not by {worker}")
    _check_hands(envelope.subject, worker)


def _check_step(envelope: Envelope, worker: str) -> None:
    """Of a resource that several workers make, each speaks of its own steps."""
    definition = WORKFLOWS.get(kind_of(envelope.subject))
    if envelope.step is None or definition is None or not definition.knows(envelope.step):
        return
    if definition.step(envelope.step).worker != worker:
        raise _forbidden(f"step {envelope.step} of {envelope.subject} is not {worker}'s")


def _check_hands(subject: str, worker: str) -> None:
    """What is about a resource comes from whoever makes it; other subjects are no resources."""
    kind = kind_of(subject)
    if kind in _HANDS and worker not in _HANDS[kind]:
        raise _forbidden(f"{subject} is not in the hands of {worker}")


def _forbidden(detail: str) -> RejectedMessage:
    return RejectedMessage(detail[:500], reason=FORBIDDEN, status=403)
