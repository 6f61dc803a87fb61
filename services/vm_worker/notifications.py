"""What Nova and Neutron tell by themselves, read: bytes from the cloud's broker → facts. Pure.

The body is oslo.messaging's: JSON whose ``oslo.message`` is JSON again. Nova's notifications are
the versioned ones (``instance.create.end`` and so on; their data lies under ``nova_object.data``),
Neutron's the only ones it has (``port.update.end``). Nova's payload carries the server's metadata,
Neutron's the object's description: both say whose it is from the first moment on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from services.vm_worker.cloud_objects import FloatingIp, Port, Server
from services.vm_worker.notification_forms import (
    FloatingIpPayload,
    Inner,
    InstancePayload,
    NeutronFloatingIp,
    NeutronPort,
    NovaInstance,
    Outer,
    PortPayload,
)
from shared.contract.identifiers import is_id
from shared.contract.topology import Binding
from shared.worker.marks import Marks

#: What is listened to, on the cloud's broker.
BINDINGS = (
    Binding("nova", "versioned_notifications.*"),
    Binding("neutron", "notifications.*"),
)
#: The kind that is listened for. Marks are what anybody can write: an id of none is nobody's.
VM = "vm"
#: Nova's ``vm_state`` → the API's word for it while no task is under way
#: (``nova.api.openstack.common``).
_STATUS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "error": "ERROR",
    "paused": "PAUSED",
    "rescued": "RESCUE",
    "resized": "VERIFY_RESIZE",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
    "stopped": "SHUTOFF",
    "suspended": "SUSPENDED",
}


class UnreadableNotification(ValueError):
    """The bytes are no notification of the form that we know."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What all have: the notification's own unique id, when it was sent, of which VM it is.

    The marks are what anybody in the project could have written; the project is the cloud's word.
    """

    id: str
    at: datetime
    project_id: str
    resource_id: str


@dataclass(frozen=True, kw_only=True)
class ServerNotified(Notification):
    """A server has come to rest in a state; ``gone``: Nova knows it no more.

    ``port_ids`` are all ports it has, as far as Nova has noticed.
    """

    server: Server
    port_ids: tuple[str, ...] = ()
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class PortNotified(Notification):
    """A VM's port is as it now is; ``gone``: it was deleted."""

    port: Port
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class FloatingIpNotified(Notification):
    """A VM's floating IP is as it now is; ``gone``: it was deleted."""

    floating_ip: FloatingIp
    gone: bool = False


_T = TypeVar("_T")


def read(body: bytes, marks: Marks) -> Notification | None:
    """Return what the notification tells of a VM of this installation; None when nothing.

    Raises `UnreadableNotification`.
    """
    if marks.installation_id.encode() not in body:  # most are others': don't even parse them
        return None
    inner = _decoded(_decoded(body, Outer).message, Inner)
    common = {"id": inner.message_id, "at": _time(inner.timestamp)}
    what, _, verb = inner.event_type.partition(".")
    if what == "instance":
        return _instance(verb, _decoded(inner.payload, InstancePayload).data, marks, common)
    if what == "port" and verb in _ENDS:
        return _port(verb, _decoded(inner.payload, PortPayload).port, marks, common)
    if what == "floatingip" and verb in _ENDS:
        floating_ip = _decoded(inner.payload, FloatingIpPayload).floatingip
        return _floating_ip(verb, floating_ip, marks, common)
    return None


_ENDS = frozenset({"create.end", "update.end", "delete.end"})


def _decoded(data: str | bytes | msgspec.Raw, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableNotification(f"{kind.__name__}: {error}") from error


def _time(text: str) -> datetime:
    """oslo.messaging writes ``2026-11-23 05:50:03.923166``, in UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableNotification(f"timestamp: {error}") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _instance(
    verb: str, instance: NovaInstance, marks: Marks, common: dict[str, Any]
) -> ServerNotified | None:
    """Only what a server has come to: the end of something done to it, or ERROR."""
    metadata = instance.metadata or {}
    resource_id = metadata.get("colobus_resource", "")
    if metadata.get("colobus_installation") != marks.installation_id or not is_id(resource_id, VM):
        return None
    gone = verb == "delete.end"
    status = _STATUS.get(instance.state or "")
    at_rest = instance.task_state is None and status is not None
    told = verb.endswith(".end") or (verb == "update" and status == "ERROR")
    if not gone and not (at_rest and told):
        return None
    addresses = [one.data for one in instance.ip_addresses or ()]
    server = Server(
        id=instance.uuid,
        name=instance.display_name or "",
        status=status or "DELETED",
        metadata=metadata,
        addresses=tuple(one.address for one in addresses if one.address),
        launched_at=_in_utc(instance.launched_at),
    )
    return ServerNotified(
        resource_id=resource_id,
        server=server,
        port_ids=tuple(dict.fromkeys(one.port_uuid for one in addresses if one.port_uuid)),
        gone=gone,
        project_id=instance.tenant_id,
        **common,
    )


def _in_utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _port(
    verb: str, port: NeutronPort, marks: Marks, common: dict[str, Any]
) -> PortNotified | None:
    resource_id = marks.resource_of((), port.description or "")
    if resource_id is None or not is_id(resource_id, VM):
        return None
    seen = Port(
        id=port.id,
        name=port.name,
        network_id=port.network_id,
        mac_address=port.mac_address,
        status=port.status,
        description=port.description or "",
        device_id=port.device_id or "",
        fixed_ips=tuple(one.ip_address for one in port.fixed_ips),
    )
    return PortNotified(
        port=seen,
        gone=verb == "delete.end",
        project_id=port.project_id,
        resource_id=resource_id,
        **common,
    )


def _floating_ip(
    verb: str, floating_ip: NeutronFloatingIp, marks: Marks, common: dict[str, Any]
) -> FloatingIpNotified | None:
    resource_id = marks.resource_of((), floating_ip.description or "")
    if resource_id is None or not is_id(resource_id, VM):
        return None
    seen = FloatingIp(
        id=floating_ip.id,
        address=floating_ip.floating_ip_address,
        port_id=floating_ip.port_id,
        description=floating_ip.description or "",
        status=floating_ip.status or "",
    )
    return FloatingIpNotified(
        floating_ip=seen,
        gone=verb == "delete.end",
        project_id=floating_ip.project_id,
        resource_id=resource_id,
        **common,
    )
