"""The broker as it shall be: objects of the HTTP API with their bodies; made, or compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from services.admin.access import (
    ACCESS,
    Permissions,
    broker_user,
    service_permissions,
    tenant_permissions,
)
from services.admin.credentials import Credentials
from services.admin.management import Management, is_password, password_hash
from services.admin.settings import AdminSettings
from shared.contract.topology import TOPOLOGY, DelayQueue, QueryQueue, Topology, WorkQueue
from shared.runtime.errors import ConfigurationError
from shared.runtime.tenants import load_tenants

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Declared:
    """An object of the HTTP API, by its path, and what its body must have."""

    path: tuple[str, ...]
    body: dict[str, Any]


@dataclass(frozen=True)
class Bound:
    """A binding of a queue."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True)
class User:
    """A broker user, its password and its permissions."""

    name: str
    password: str
    permissions: Permissions


def open_management(settings: AdminSettings) -> Management:
    """Open RabbitMQ's HTTP API as the administrator."""
    url = urlsplit(settings.admin_amqp_url[0])
    user, password = unquote(url.username or "guest"), unquote(url.password or "guest")
    return Management(settings.admin_amqp_management_url, user, password)


def virtual_host(settings: AdminSettings) -> str:
    """The virtual host in the AMQP URLs."""
    hosts = {unquote(urlsplit(url).path[1:]) or "/" for url in settings.admin_amqp_url}
    if len(hosts) != 1:
        raise ConfigurationError("COLOBUS_ADMIN_AMQP_URL names more than one virtual host")
    return hosts.pop()


def objects(vhost: str, topology: Topology = TOPOLOGY) -> Iterator[Declared]:
    """Exchanges and queues."""
    for exchange in topology.exchanges:
        body = {"type": exchange.type, "durable": True, "auto_delete": False, "internal": False}
        yield Declared(("exchanges", vhost, exchange.name), body)
    queues: list[WorkQueue | DelayQueue | QueryQueue] = [*topology.work_queues]
    for queue in [*queues, *topology.delay_queues, *topology.query_queues]:
        body = {"durable": True, "auto_delete": False, "arguments": queue.arguments}
        yield Declared(("queues", vhost, queue.name), body)


def bindings(topology: Topology = TOPOLOGY) -> Iterator[Bound]:
    """Bindings; a delay queue takes all of its exchange."""
    queues: list[WorkQueue | QueryQueue] = [*topology.work_queues, *topology.query_queues]
    for queue in queues:
        for binding in queue.bindings:
            yield Bound(binding.exchange, queue.name, binding.key)
    for delay in topology.delay_queues:
        yield Bound(delay.name, delay.name, "#")


def users(settings: AdminSettings, credentials: Credentials, *, make: bool) -> Iterator[User]:
    """The users of services and tenants; ``make`` passwords that are missing."""
    for service, access in ACCESS.items():
        password = credentials.amqp_password(service, make=make)
        name = broker_user(service, settings.role_suffix)
        yield User(name, password, service_permissions(service, access))
    for tenant in load_tenants(settings.tenants_file) if settings.tenants_file else ():
        if tenant.broker_user is not None:
            name = _usable(tenant.broker_user)
            password = credentials.amqp_password(name, make=make)
            yield User(name, password, tenant_permissions(tenant.name, name))


def _usable(name: str) -> str:
    """A tenant's user owns the queues ``<user>.*``: these must be nobody else's by their name."""
    reserved = {"amq", "colobus", *ACCESS}
    if not _USER.fullmatch(name) or name in reserved or name.startswith("colobus-"):
        raise ConfigurationError(
            f"broker_user {name!r}: expected letters, digits, '_' and '-', "
            "and none of the names that Colobus uses itself"
        )
    return name


def grants(vhost: str, user: User) -> Iterator[Declared]:
    """The permissions of one user."""
    allowed = user.permissions
    body = {"configure": allowed.configure, "write": allowed.write, "read": allowed.read}
    yield Declared(("permissions", vhost, user.name), body)
    for exchange, (write, read) in allowed.topics.items():
        yield Declared(
            ("topic-permissions", vhost, user.name),
            {"exchange": exchange, "write": write, "read": read},
        )


async def install_topology(management: Management, vhost: str) -> None:
    """Declare exchanges, queues and bindings; raises `ConfigurationError` on a conflict."""
    for wanted in objects(vhost):
        await management.put(*wanted.path, body=wanted.body)
    for binding in bindings():
        path = ("bindings", vhost, "e", binding.exchange, "q", binding.queue)
        await management.post(*path, body={"routing_key": binding.key})


async def install_user(management: Management, vhost: str, user: User) -> None:
    """Make the user, with this password and these permissions; no permission before its topics."""
    known = await management.get("users", user.name)
    if known is None or not is_password(user.password, known["password_hash"]):
        body = {"password_hash": password_hash(user.password), "tags": ""}
        await management.put("users", user.name, body=body)
    resources, *topics = grants(vhost, user)
    for wanted in (*topics, resources):
        await management.put(*wanted.path, body=wanted.body)


async def install_virtual_host(management: Management, vhost: str) -> None:
    """Make the virtual host when it is missing; its maker gets all permissions in it."""
    if await management.get("vhosts", vhost) is None:
        await management.put("vhosts", vhost, body={})
        me = (await management.get("whoami"))["name"]
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await management.put("permissions", vhost, me, body=everything)


async def broker_faults(management: Management, vhost: str, wanted: list[User]) -> list[str]:
    """Compare; one line for each thing that is missing or other than declared."""
    faults = [fault for o in objects(vhost) if (fault := await _fault(management, o))]
    for bound in bindings():
        path = ("bindings", vhost, "e", bound.exchange, "q", bound.queue)
        keys = [found["routing_key"] for found in await management.get(*path) or []]
        if bound.key not in keys:
            faults.append(f"binding {bound.exchange} {bound.key} → {bound.queue} is missing")
    for user in wanted:
        faults += await _user_faults(management, vhost, user)
    return faults


async def _user_faults(management: Management, vhost: str, user: User) -> list[str]:
    known = await management.get("users", user.name)
    if known is None:
        return [f"user {user.name} is missing"]
    faults = []
    if not is_password(user.password, known["password_hash"]):
        faults.append(f"user {user.name} has another password than is kept")
    for wanted in grants(vhost, user):
        if fault := await _fault(management, wanted):
            faults.append(fault)
    return faults


async def _fault(management: Management, wanted: Declared) -> str | None:
    found = await management.get(*wanted.path)
    name = "/".join(wanted.path)
    candidates = found if isinstance(found, list) else [found] if found else []
    if not candidates:
        return f"{name} is missing"
    if any(wanted.body.items() <= candidate.items() for candidate in candidates):
        return None
    return f"{name} is other than {wanted.body}"
