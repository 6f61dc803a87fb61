"""What the bus tells the front door: status is truth and is stored, events are shown live only."""

from __future__ import annotations

from typing import Any

import msgspec

from services.front_door import read_model, timeline
from services.front_door.wakeups import Wakeups, resource_topic, tenant_topic
from shared.bus import Delivery, Handler, RejectedMessage
from shared.contract.http import TimelineEvent
from shared.contract.messages import (
    AppInspectionFailed,
    AppObserved,
    AppPart,
    ClusterInspectionFailed,
    ClusterObserved,
    CommandFailed,
    KubernetesNode,
    Message,
    ResourceStatusChanged,
    StackInspectionFailed,
    StackObserved,
    StorageInspectionFailed,
    StorageObserved,
    VmInspectionFailed,
    VmObserved,
)
from shared.contract.resources import Resource
from shared.runtime import logs
from shared.runtime.locks import KeyedLocks
from shared.storage import Database

#: These are about places; what they mean for a resource comes with its status.
_ABOUT_SEVERAL = (
    VmInspectionFailed,
    StorageInspectionFailed,
    StackInspectionFailed,
    ClusterInspectionFailed,
    AppInspectionFailed,
)


def resource_status_changed(database: Database) -> Handler:
    """Return the handler of ``front_door.status``: fold the message into the read model.

    A second delivery changes nothing, and an older message changes the timeline only. The messages
    of one tenant take turns, in the order of their arrival: the counter of its timeline would make
    them wait for each other anyway, holding connections and losing the order.
    """
    turns = KeyedLocks()

    async def handle(delivery: Delivery) -> None:
        logs.bind_message(delivery.envelope)
        resource = _resource(delivery)
        async with turns.hold(resource.tenant), database.transaction() as tx:
            await read_model.upsert(tx, resource)
            await timeline.append(tx, resource)

    return handle


def _resource(delivery: Delivery) -> Resource:
    message, envelope = delivery.message, delivery.envelope
    if not isinstance(message, ResourceStatusChanged):
        raise RejectedMessage(f"{envelope.message_name} is no status message")
    resource = message.resource
    if (envelope.tenant, envelope.subject) != (resource.tenant, resource.id):
        raise RejectedMessage("tenant or subject are not those of the resource")
    if envelope.sequence not in (None, resource.revision):
        raise RejectedMessage("sequence is not the revision of the resource")
    return resource


def progress_shown(wakeups: Wakeups) -> Handler:
    """Return the handler of the workers' events: hand them to whoever watches right now."""

    async def handle(delivery: Delivery) -> None:
        message, envelope = delivery.message, delivery.envelope
        topics = (tenant_topic(envelope.tenant), resource_topic(envelope.subject))
        if isinstance(message, _ABOUT_SEVERAL) or not wakeups.has_listeners(*topics):
            return
        shown = TimelineEvent(
            type="progress",
            resource_id=envelope.subject,
            at=envelope.time,
            event=envelope.message_name,
            step=envelope.step,
            attempt=envelope.attempt,
            data=public_data(message) or None,
        )
        wakeups.progress(topics, msgspec.json.encode(shown))

    return handle


def public_data(message: Message) -> dict[str, Any]:
    """Return what a tenant may see of a worker's event: the backend's words for states and faults.

    Everything else (ids of the backend, addresses, texts of errors) comes with the status.
    """
    seen: dict[str, Any] = {}
    if isinstance(message, VmObserved):
        seen = {
            "server_status": message.server_status,
            "task_state": message.task_state,
            "port_status": message.port_status,
            "gone": message.gone or None,
        }
    elif isinstance(message, StorageObserved):
        seen = {
            "size_bytes": message.size_bytes,
            "initiators": message.initiators or None,
            "gone": message.gone or None,
        }
    elif isinstance(message, StackObserved):
        seen = {
            "stack_status": message.stack_status,
            # Members of groups have the same names: "0", "1", …
            "parts": [{"name": one.name, "status": one.status} for one in message.parts] or None,
            "gone": message.gone or None,
        }
    elif isinstance(message, ClusterObserved):
        seen = {
            "cluster_status": message.cluster_status,
            "nodes": {node.name: _ready(node) for node in message.nodes} or None,
            "gone": message.gone or None,
        }
    elif isinstance(message, AppObserved):
        seen = {
            "parts": {f"{one.kind} {one.name}": _state(one) for one in message.parts} or None,
            "gone": message.gone or message.cluster_gone or None,
        }
    elif isinstance(message, CommandFailed):
        seen = {
            "command": message.command,
            "retryable": message.retryable,
            "reason": message.problem.reason,
        }
    return {name: value for name, value in seen.items() if value is not None}


def _state(part: AppPart) -> str:
    return "done" if part.done else part.reason or "not done"


def _ready(node: KubernetesNode) -> str:
    return "Ready" if node.ready else "NotReady"
