"""What a cloud's notifications have told so far, put together: bounded memory, no I/O.

Nova tells of servers, Neutron of ports and floating IPs, in any order; that a VM is up needs both.
What is known is said at once; what nobody has told is asked for (`Missing`), once. The memory is
of this process alone: when another replica takes over, it asks a little more at first.

Marks are what anybody can write on a thing of his own, and ids are no secrets; the project is the
cloud's word. So a VM is known by both, and a thing of one project says nothing of another's VM.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.vm_worker.cloud_objects import FloatingIp, Port
from services.vm_worker.notifications import (
    FloatingIpNotified,
    Notification,
    PortNotified,
    ServerNotified,
)

#: How many servers, ports and floating IPs are remembered, each.
SIZE = 10_000
_UP = "ACTIVE"
_V = TypeVar("_V")
_Key = tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """A server with what is known of its port and floating IP; ``by`` is what told it."""

    by: Notification
    told: ServerNotified
    port: Port | None = None
    floating_ip: FloatingIp | None = None


@dataclass(frozen=True)
class Missing:
    """Something to be asked of the cloud: whether the port is up, or why the server failed."""

    told: ServerNotified

    @property
    def failed(self) -> bool:
        """Nova's own words are wanted; else the port."""
        return self.told.server.status == "ERROR"


class _Recent(Generic[_V]):
    """The last ones; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._values: OrderedDict[_Key, _V] = OrderedDict()

    def put(self, key: _Key, value: _V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > SIZE:
            self._values.popitem(last=False)

    def get(self, key: _Key) -> _V | None:
        return self._values.get(key)

    def drop(self, key: _Key) -> None:
        self._values.pop(key, None)


class Notified:
    """Takes notifications one by one, and says what follows."""

    def __init__(self) -> None:
        self._ports: _Recent[Port] = _Recent()  # the VM's own port
        self._floating_ips: _Recent[FloatingIp] = _Recent()  # the VM's own
        #: Servers that are up, for all that Nova knows, with a port that isn't yet.
        self._unproven: _Recent[ServerNotified] = _Recent()

    def take(self, told: Notification) -> Seen | Missing | None:
        """Remember what is told; return what it shows, or what is missing to show it."""
        if isinstance(told, ServerNotified):
            return self._take_server(told)
        if isinstance(told, PortNotified):
            return self._take_port(told)
        if isinstance(told, FloatingIpNotified):
            if told.gone:
                self._floating_ips.drop(_vm(told))
            else:
                self._floating_ips.put(_vm(told), told.floating_ip)
        return None

    def answer(self, told: ServerNotified, port: Port | None) -> Seen:
        """What is known of the server now that its port was asked for (None: to no avail)."""
        if port is not None:
            self._ports.put(_vm(told), port)
        seen = self._seen(told, told)
        if _is_up(seen.port):
            self._unproven.drop(_server(told))
        return seen

    def _take_server(self, told: ServerNotified) -> Seen | Missing:
        server = told.server
        self._unproven.drop(_server(told))
        if told.gone:
            return Seen(told, told)
        if server.status == "ERROR":
            return Missing(told)
        seen = self._seen(told, told)
        if server.status == _UP and not _is_up(seen.port):
            self._unproven.put(_server(told), told)
            return Missing(told)
        return seen

    def _take_port(self, told: PortNotified) -> Seen | None:
        if told.gone:
            self._ports.drop(_vm(told))
            return None
        self._ports.put(_vm(told), told.port)
        server = self._unproven.get((*_vm(told), told.port.device_id))
        if server is None or not _is_up(told.port):
            return None
        self._unproven.drop(_server(server))
        return self._seen(told, server)

    def _seen(self, by: Notification, told: ServerNotified) -> Seen:
        """Its port only while it serves this very server, its floating IP while on that port."""
        port = self._ports.get(_vm(told))
        if port is None or port.device_id != told.server.id:
            return Seen(by, told)
        floating_ip = self._floating_ips.get(_vm(told))
        on_it = floating_ip is not None and floating_ip.port_id == port.id
        return Seen(by, told, port, floating_ip if on_it else None)


def _vm(told: Notification) -> _Key:
    return told.project_id, told.resource_id


def _server(told: ServerNotified) -> _Key:
    return *_vm(told), told.server.id


def _is_up(port: Port | None) -> bool:
    return port is not None and port.status == _UP
