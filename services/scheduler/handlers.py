"""One function per message: lock the resource, let the workflow decide, record the decision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from services.scheduler import census, cloud_health, node_inventories, push, scarce_nodes, workflow
from services.scheduler.changing import Change, Lesson
from services.scheduler.context import Context
from services.scheduler.leaving import is_left_behind
from services.scheduler.ledger import Transaction, utc_now
from services.scheduler.origins import check_dead_command, check_event
from services.scheduler.state import Decision, ResourceState
from services.scheduler.submitting import submit_request
from services.scheduler.workflows import WORKFLOWS
from shared.bus import Delivery, RejectedMessage
from shared.contract.messages import (
    AppApplied,
    AppChangeStarted,
    AppDeletionStarted,
    AppDeprovisioned,
    AppInspectionFailed,
    AppObserved,
    CensusTaken,
    CloudNotificationsChanged,
    ClusterCreateStarted,
    ClusterDeletionStarted,
    ClusterDeprovisioned,
    ClusterInspectionFailed,
    ClusterObserved,
    ClusterResizeStarted,
    CommandFailed,
    ConfigVolumeDeprovisioned,
    ConfigVolumeProvisioned,
    DisksExported,
    DisksWithdrawn,
    FloatingIpAssociated,
    FloatingIpReleased,
    MachineDeployStarted,
    MachineInspectionFailed,
    MachineObserved,
    MachinePowerChangeStarted,
    MachineUndeployed,
    MachineUndeployStarted,
    Message,
    NodeInventoryTaken,
    NodeReleased,
    NodeReserved,
    OrphanRemoved,
    RequestSubmitted,
    SnapshotRemoved,
    SnapshotTaken,
    StackChangeStarted,
    StackCreateStarted,
    StackDeletionStarted,
    StackDeprovisioned,
    StackInspectionFailed,
    StackObserved,
    StorageInspectionFailed,
    StorageObserved,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmInspectionFailed,
    VmObserved,
    VmPortPrepared,
    VmPortReleased,
    VmPowerChangeStarted,
    VolumeAttached,
    VolumeDeprovisioned,
    VolumeDetached,
    VolumeGrown,
    VolumeProvisioned,
)
from shared.contract.problems import Problem, Reason

log = structlog.get_logger(__name__)
InspectionFailed = (
    VmInspectionFailed
    | StorageInspectionFailed
    | MachineInspectionFailed
    | StackInspectionFailed
    | ClusterInspectionFailed
    | AppInspectionFailed
)
Observed = (
    VmObserved | StorageObserved | MachineObserved | StackObserved | ClusterObserved | AppObserved
)
Handler = Callable[[Delivery, Any, Context], Awaitable[None]]


# ---- colobus.events


async def absorb_answer(delivery: Delivery, event: Message, context: Context) -> None:
    """A worker's answer to a command: it belongs to one step and one attempt."""
    envelope = delivery.envelope
    if envelope.step is None or envelope.attempt is None:
        if isinstance(event, CommandFailed):
            census.count_failure(delivery, event)
        return  # the answer to an inspection or a census, or what is meant for others
    step, attempt = envelope.step, envelope.attempt

    def decide(state: ResourceState) -> Decision:
        definition = WORKFLOWS[state.resource.kind]
        return workflow.absorb(state, definition, utc_now(), step, attempt, event)

    unheard = is_left_behind(step) or cloud_health.sign_in(event) is None

    async def learn(tx: Transaction, before: ResourceState, _: ResourceState) -> None:
        if not _is_open(before, step, attempt):
            return
        definition = WORKFLOWS[before.resource.kind]
        guest = census.is_guest(definition.worker_of(step))
        if (sign := cloud_health.sign_in(event, guest=guest)) is not None:
            place = definition.place_of(before, step)
            await cloud_health.note_answer(tx, place, sign, utc_now(), context.settings)

    lesson = None if unheard else Lesson(cloud_health.TABLE, learn)
    await context.changes.do(Change(envelope, True, decide, lesson))


def _is_open(state: ResourceState, step: str, attempt: int) -> bool:
    """Tell whether that attempt is the one that is waited for.

    A late answer to an older one may be another cloud's, which the resource has left since.
    """
    progress = state.progress.get(step)
    return progress is not None and progress.attempt == attempt and not progress.answered


async def observe_resource(delivery: Delivery, event: Observed, context: Context) -> None:
    """What a backend shows of one resource; seeing the same twice changes nothing."""

    def decide(state: ResourceState) -> Decision:
        return workflow.observe(state, WORKFLOWS[state.resource.kind], utc_now(), event)

    async def learn(tx: Transaction, before: ResourceState, after: ResourceState) -> None:
        rarely = context.settings.inspect_pushed_seconds
        await push.note_sight(tx, before, after, event, rarely)

    lesson = Lesson(push.TABLE, learn)
    await context.changes.do(Change(delivery.envelope, False, decide, lesson))


async def note_notifications(
    delivery: Delivery, event: CloudNotificationsChanged, context: Context
) -> None:
    """A worker says whether a cloud's notifications reach it; that they do has to be seen."""
    del delivery
    if not event.receiving:
        async with context.database.transaction() as tx:
            await push.note_silence(tx, event.cloud)


async def note_inventory(delivery: Delivery, event: NodeInventoryTaken, context: Context) -> None:
    """A metal's nodes, counted: whoever waits for some may go on."""
    del delivery
    node_inventories.check(event)
    async with context.database.transaction() as tx:
        await scarce_nodes.take_inventory(tx, event)
    context.admission_wanted.set()


async def note_failed_inspection(
    delivery: Delivery, event: InspectionFailed, context: Context
) -> None:
    """The backend could not be asked: each resource that waits for it says so."""
    del delivery
    for resource_id in event.resource_ids:
        async with context.recording() as recording:
            state = await context.ledger.lock(recording.tx, resource_id)
            if state is None:
                continue
            definition = WORKFLOWS[state.resource.kind]
            decision = workflow.unreachable(state, definition, utc_now(), event.problem)
            recording.send(await context.ledger.save(recording.tx, state, decision))


# ---- colobus.dead-letters


async def end_dead_command(delivery: Delivery, command: Message, context: Context) -> None:
    """A command that its worker could not take: its step ends with the reason."""
    reason = str(delivery.headers.get("x-colobus-reason") or "the broker gave it up")
    event = CommandFailed(
        command=type(command).__name__,
        problem=Problem(title="Command rejected", detail=reason, reason=Reason.COMMAND_REJECTED),
        retryable=False,
        operation_id=getattr(command, "operation_id", None),
    )
    await absorb_answer(delivery, event, context)


REQUEST_HANDLERS: dict[type[Message], Handler] = {RequestSubmitted: submit_request}
EVENT_HANDLERS: dict[type[Message], Handler] = {
    VmPortPrepared: absorb_answer,
    VmBuildStarted: absorb_answer,
    FloatingIpAssociated: absorb_answer,
    FloatingIpReleased: absorb_answer,
    VmDeletionStarted: absorb_answer,
    VmDeprovisioned: absorb_answer,
    VmPortReleased: absorb_answer,
    VmPowerChangeStarted: absorb_answer,
    VolumeProvisioned: absorb_answer,
    VolumeGrown: absorb_answer,
    VolumeDeprovisioned: absorb_answer,
    SnapshotTaken: absorb_answer,
    SnapshotRemoved: absorb_answer,
    VolumeAttached: absorb_answer,
    VolumeDetached: absorb_answer,
    NodeReserved: absorb_answer,
    NodeReleased: absorb_answer,
    ConfigVolumeProvisioned: absorb_answer,
    ConfigVolumeDeprovisioned: absorb_answer,
    DisksExported: absorb_answer,
    DisksWithdrawn: absorb_answer,
    MachineDeployStarted: absorb_answer,
    MachineUndeployStarted: absorb_answer,
    MachineUndeployed: absorb_answer,
    MachinePowerChangeStarted: absorb_answer,
    CommandFailed: absorb_answer,
    VmObserved: observe_resource,
    StorageObserved: observe_resource,
    MachineObserved: observe_resource,
    ClusterCreateStarted: absorb_answer,
    ClusterDeletionStarted: absorb_answer,
    ClusterDeprovisioned: absorb_answer,
    ClusterResizeStarted: absorb_answer,
    ClusterObserved: observe_resource,
    AppApplied: absorb_answer,
    AppChangeStarted: absorb_answer,
    AppDeletionStarted: absorb_answer,
    AppDeprovisioned: absorb_answer,
    AppObserved: observe_resource,
    StackChangeStarted: absorb_answer,
    StackCreateStarted: absorb_answer,
    StackDeletionStarted: absorb_answer,
    StackDeprovisioned: absorb_answer,
    StackObserved: observe_resource,
    CloudNotificationsChanged: note_notifications,
    VmInspectionFailed: note_failed_inspection,
    StorageInspectionFailed: note_failed_inspection,
    MachineInspectionFailed: note_failed_inspection,
    StackInspectionFailed: note_failed_inspection,
    ClusterInspectionFailed: note_failed_inspection,
    AppInspectionFailed: note_failed_inspection,
    CensusTaken: census.absorb_census,
    NodeInventoryTaken: note_inventory,
    OrphanRemoved: census.note_removal,
}


async def handle_request(delivery: Delivery, context: Context) -> None:
    """Take one delivery of ``scheduler.requests``."""
    handler = REQUEST_HANDLERS.get(type(delivery.message))
    if handler is None:
        raise RejectedMessage(f"{delivery.envelope.message_name} is no request")
    await handler(delivery, delivery.message, context)


async def handle_event(delivery: Delivery, context: Context) -> None:
    """Take one delivery of ``scheduler.events``; events that aren't for the scheduler pass."""
    handler = EVENT_HANDLERS.get(type(delivery.message))
    if handler is not None:
        check_event(delivery)
        await handler(delivery, delivery.message, context)


async def handle_dead_command(delivery: Delivery, context: Context) -> None:
    """Take one delivery of ``scheduler.dead_commands``."""
    check_dead_command(delivery)
    await end_dead_command(delivery, delivery.message, context)
