"""The form of what Nova and Neutron tell: oslo.messaging's wrapping, and theirs inside it.

Only the fields that are read; all others are passed over.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Outer(msgspec.Struct):
    """The body; its message is JSON again."""

    message: str = msgspec.field(name="oslo.message")


class Inner(msgspec.Struct):
    """The message: what happened, when, and to what."""

    message_id: str
    event_type: str
    timestamp: str
    payload: msgspec.Raw


class NovaAddress(msgspec.Struct):
    """An address of a server."""

    address: str | None = None
    port_uuid: str | None = None


class NovaAddressObject(msgspec.Struct):
    """An address, in Nova's wrapping."""

    data: NovaAddress = msgspec.field(name="nova_object.data")


class NovaInstance(msgspec.Struct):
    """A server."""

    uuid: str
    tenant_id: str
    state: str | None = None
    task_state: str | None = None
    display_name: str | None = None
    metadata: dict[str, str] | None = None
    launched_at: datetime | None = None
    ip_addresses: list[NovaAddressObject] | None = None


class InstancePayload(msgspec.Struct):
    """A server, in Nova's wrapping."""

    data: NovaInstance = msgspec.field(name="nova_object.data")


class NeutronFixedIp(msgspec.Struct):
    """An address of a port."""

    ip_address: str


class NeutronPort(msgspec.Struct):
    """A port."""

    id: str
    project_id: str
    status: str
    name: str = ""
    network_id: str = ""
    mac_address: str = ""
    description: str | None = None
    device_id: str | None = None
    fixed_ips: list[NeutronFixedIp] = []


class PortPayload(msgspec.Struct):
    """What is told of a port."""

    port: NeutronPort


class NeutronFloatingIp(msgspec.Struct):
    """A floating IP."""

    id: str
    project_id: str
    floating_ip_address: str
    port_id: str | None = None
    description: str | None = None
    status: str | None = None


class FloatingIpPayload(msgspec.Struct):
    """What is told of a floating IP."""

    floatingip: NeutronFloatingIp
