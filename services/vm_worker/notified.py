"""What a cloud's notifications have told so far, put together: bounded memory, no I/O.

Nova tells of servers, Neutron of ports and floating IPs, in any order; that a VM is up needs both.
What is known is said at once; what nobody has told is asked for (`Missing`), once. The memory is
of this process alone: when another replica takes over, it asks a little more at first.
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
        self._values: OrderedDict[str, _V] = OrderedDict()

    def put(self, key: str, value: _V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > SIZE:
            self._values.popitem(last=False)

    def get(self, key: str) -> _V | None:
        return self._values.get(key)

    def drop(self, key: str) -> None:
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
                self._floating_ips.drop(told.resource_id)
            else:
                self._floating_ips.put(told.resource_id, told.floating_ip)
        return None

    def answer(self, told: ServerNotified, port: Port | None) -> Seen:
        """What is known of the server now that its port was asked for (None: to no avail)."""
        if port is not None:
            self._ports.put(told.resource_id, port)
        seen = self._seen(told, told)
        if _is_up(seen.port):
            self._unproven.drop(told.server.id)
        return seen

    def _take_server(self, told: ServerNotified) -> Seen | Missing:
        server = told.server
        self._unproven.drop(server.id)
        if told.gone:
            return Seen(told, told)
        if server.status == "ERROR":
            return Missing(told)
        seen = self._seen(told, told)
        if server.status == _UP and not _is_up(seen.port):
            self._unproven.put(server.id, told)
            return Missing(told)
        return seen

    def _take_port(self, told: PortNotified) -> Seen | None:
        if told.gone:
            self._ports.drop(told.resource_id)
            return None
        self._ports.put(told.resource_id, told.port)
        server = self._unproven.get(told.port.device_id)
        if server is None or not _is_up(told.port):
            return None
        self._unproven.drop(server.server.id)
        return self._seen(told, server)

    def _seen(self, by: Notification, told: ServerNotified) -> Seen:
        """Its port only while it serves this very server, its floating IP while on that port."""
        port = self._ports.get(told.resource_id)
        if port is None or port.device_id != told.server.id:
            return Seen(by, told)
        floating_ip = self._floating_ips.get(told.resource_id)
        on_it = floating_ip is not None and floating_ip.port_id == port.id
        return Seen(by, told, port, floating_ip if on_it else None)


def _is_up(port: Port | None) -> bool:
    return port is not None and port.status == _UP
