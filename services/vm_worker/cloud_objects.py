"""What a cloud's objects look like to us, in the cloud's own words (server, port, floating IP)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

#: The task state of a server that is going.
DELETING = "deleting"


@dataclass(frozen=True)
class Server:
    """A server as Nova shows it; ``status`` and ``task_state`` in its own words."""

    id: str
    name: str
    status: str
    task_state: str | None = None
    fault: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    created_at: str = ""
    launched_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewServer:
    """A server to be made; ``user_data`` is base64, as Nova takes it."""

    name: str
    image_id: str
    flavor_id: str
    port_id: str
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    user_data: str | None = None


@dataclass(frozen=True)
class ServerAction:
    """Something that was done to a server, from Nova's own record."""

    action: str
    started_at: datetime


class PowerAction(enum.Enum):
    """What can be done to a server's power."""

    SOFT_REBOOT = "soft reboot"
    HARD_REBOOT = "hard reboot"
    STOP = "stop"
    START = "start"


class Taggable(enum.Enum):
    """What gets its tags after it was made."""

    PORT = "port"
    FLOATING_IP = "floating_ip"
    NETWORK = "network"
    ROUTER = "router"


@dataclass(frozen=True)
class Network:
    """A network; ``own``: it belongs to the project itself, which may then choose MAC addresses."""

    id: str
    name: str
    own: bool
    external: bool = False
    default: bool = False
    has_subnets: bool = False
    tags: tuple[str, ...] = ()
    created_at: str = ""


@dataclass(frozen=True)
class Subnet:
    """A subnet of a network."""

    id: str
    gateway_ip: str | None = None


@dataclass(frozen=True)
class Router:
    """A router; ``gateway_network_id`` is the external network that it leads to."""

    id: str
    tags: tuple[str, ...] = ()
    gateway_network_id: str | None = None
    created_at: str = ""


@dataclass(frozen=True)
class Port:
    """A port. ``device_id`` is the server that it serves, empty when free."""

    id: str
    name: str
    network_id: str
    mac_address: str
    status: str
    description: str = ""
    device_id: str = ""
    fixed_ips: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_at: str = ""


@dataclass(frozen=True, kw_only=True)
class NewPort:
    """A port to be made. Name and description are there from the first moment on."""

    network_id: str
    name: str
    description: str
    tags: tuple[str, ...]
    mac_address: str | None = None
    #: None leaves it to Neutron, which takes the project's default group.
    security_group_ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FloatingIp:
    """A floating IP and the port that it is on."""

    id: str
    address: str
    port_id: str | None
    description: str = ""
    status: str = ""
    tags: tuple[str, ...] = ()
    created_at: str = ""
