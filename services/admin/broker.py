"""The broker as it shall be, compared with how it is; what differs is made.

Queues and bindings that nothing declares any more are left alone: they may hold messages.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from services.admin.credentials import ADMINISTRATOR, Credentials
from services.admin.management import Management, is_password, password_hash
from services.admin.policies import TENANT_LIMITS, policies
from services.admin.settings import AdminSettings
from shared.contract.topology import TOPOLOGY, DelayQueue, QueryQueue, Topology, WorkQueue
from shared.runtime.errors import ConfigurationError
from shared.runtime.tenants import load_tenants
from shared.runtime.tls import Trust

#: What is there of the virtual host, each shown by one call.
_LISTINGS: dict[str, tuple[str, ...]] = {
    "exchanges": ("exchanges", "{vhost}"),
    "queues": ("queues", "{vhost}"),
    "bindings": ("bindings", "{vhost}"),
    "users": ("users",),
    "policies": ("policies", "{vhost}"),
    "user-limits": ("user-limits",),
    "topic-permissions": ("vhosts", "{vhost}", "topic-permissions"),
    "permissions": ("vhosts", "{vhost}", "permissions"),
}
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Declared:
    """Something that shall be there: how it is made over the HTTP API, and how it is recognized.

    ``listing``: which of `_LISTINGS` shows it; ``marks``: what its entry there has.
    """

    listing: str
    path: tuple[str, ...]
    body: Mapping[str, Any]
    marks: Mapping[str, Any]
    method: str = "PUT"

    def __str__(self) -> str:
        marks = {name: value for name, value in self.marks.items() if name != "vhost"}
        return f"{self.listing}: {marks}"


@dataclass(frozen=True)
class User:
    """A broker user, its password and its permissions. ``bounded``: it is a tenant's."""

    name: str
    password: str
    permissions: Permissions
    bounded: bool = False


def open_management(settings: AdminSettings) -> Management:
    """Open RabbitMQ's HTTP API as the administrator."""
    url = urlsplit(settings.admin_amqp_url[0])
    user, password = unquote(url.username or "guest"), unquote(url.password or "guest")
    trust = Trust(settings.amqp_ca_file, settings.amqp_cert_file, settings.amqp_key_file)
    return Management(settings.admin_amqp_management_url, user, password, trust)


def virtual_host(settings: AdminSettings) -> str:
    """The virtual host in the AMQP URLs."""
    hosts = {unquote(urlsplit(url).path[1:]) or "/" for url in settings.admin_amqp_url}
    if len(hosts) != 1:
        raise ConfigurationError("COLOBUS_ADMIN_AMQP_URL names more than one virtual host")
    return hosts.pop()


def exchanges(vhost: str, topology: Topology = TOPOLOGY) -> Iterator[Declared]:
    """All exchanges."""
    for exchange in topology.exchanges:
        body = {"type": exchange.type, "durable": True, "auto_delete": False, "internal": False}
        marks = {"name": exchange.name, **body}
        yield Declared("exchanges", ("exchanges", vhost, exchange.name), body, marks)


def queues(vhost: str, topology: Topology = TOPOLOGY) -> Iterator[Declared]:
    """All queues."""
    wanted: list[WorkQueue | DelayQueue | QueryQueue] = [*topology.work_queues]
    for queue in [*wanted, *topology.delay_queues, *topology.query_queues]:
        body = {"durable": True, "auto_delete": False, "arguments": queue.arguments}
        marks = {"name": queue.name, **body}
        yield Declared("queues", ("queues", vhost, queue.name), body, marks)


def bindings(vhost: str, topology: Topology = TOPOLOGY) -> Iterator[Declared]:
    """All bindings; a delay queue takes all of its exchange."""
    wanted: list[WorkQueue | QueryQueue] = [*topology.work_queues, *topology.query_queues]
    triples = [(b.exchange, queue.name, b.key) for queue in wanted for b in queue.bindings]
    triples += [(delay.name, delay.name, "#") for delay in topology.delay_queues]
    for exchange, queue_name, key in triples:
        path = ("bindings", vhost, "e", exchange, "q", queue_name)
        marks = {"source": exchange, "destination": queue_name, "routing_key": key}
        yield Declared("bindings", path, {"routing_key": key}, marks, method="POST")


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
            yield User(name, password, tenant_permissions(tenant.name, name), bounded=True)


def _usable(name: str) -> str:
    """A tenant's user owns the queues ``<user>.*``: these must be nobody else's by their name."""
    reserved = {"amq", "colobus", ADMINISTRATOR, *ACCESS}
    if not _USER.fullmatch(name) or name in reserved or name.startswith("colobus-"):
        raise ConfigurationError(
            f"broker_user {name!r}: expected letters, digits, '_' and '-', "
            "and none of the names that Colobus uses itself"
        )
    return name


def bounds(vhost: str, wanted: Sequence[User]) -> Iterator[Declared]:
    """The policies."""
    for name, body in policies([user.name for user in wanted if user.bounded]):
        yield Declared("policies", ("policies", vhost, name), body, {"name": name, **body})


def limits(user: User) -> Iterator[Declared]:
    """How much a tenant's user may have open at once; ours have no limit."""
    marks = {"user": user.name, "value": TENANT_LIMITS}
    for name, value in TENANT_LIMITS.items() if user.bounded else ():
        yield Declared("user-limits", ("user-limits", user.name, name), {"value": value}, marks)


def topic_grants(vhost: str, user: User) -> Iterator[Declared]:
    """The user's topic permissions."""
    for exchange, (write, read) in user.permissions.topics.items():
        body = {"exchange": exchange, "write": write, "read": read}
        path = ("topic-permissions", vhost, user.name)
        yield Declared("topic-permissions", path, body, {"user": user.name, **body})


def grant(vhost: str, user: User) -> Declared:
    """The user's permissions on exchanges and queues."""
    allowed = user.permissions
    body = {"configure": allowed.configure, "write": allowed.write, "read": allowed.read}
    path = ("permissions", vhost, user.name)
    return Declared("permissions", path, body, {"user": user.name, **body})


def account(user: User, known: Sequence[Mapping[str, Any]]) -> Declared:
    """The user itself; its mark is the password's hash that is known, when that is right."""
    hashes = [found["password_hash"] for found in known if found["name"] == user.name]
    right = next((h for h in hashes if is_password(user.password, h)), None)
    body = {"password_hash": right or password_hash(user.password), "tags": ""}
    marks = {"name": user.name, "password_hash": body["password_hash"]}
    return Declared("users", ("users", user.name), body, marks)


async def missing(
    management: Management, vhost: str, wanted: Sequence[User]
) -> list[list[Declared]]:
    """Compare: what isn't there as declared, in groups of what may be made at once.

    A user's permissions come last: without its topic permissions they would allow all keys.
    """
    names, paths = _LISTINGS.keys(), _LISTINGS.values()
    shown = await asyncio.gather(
        *(management.get(*(part.format(vhost=vhost) for part in path)) for path in paths)
    )
    found = dict(zip(names, shown, strict=True))
    groups: list[Iterable[Declared]] = [
        exchanges(vhost),
        queues(vhost),
        bindings(vhost),
        bounds(vhost, wanted),
        (account(user, found["users"] or ()) for user in wanted),
        (declared for user in wanted for declared in limits(user)),
        (declared for user in wanted for declared in topic_grants(vhost, user)),
        (grant(vhost, user) for user in wanted),
    ]
    return [[d for d in group if not _is_there(d, found[d.listing])] for group in groups]


async def install_broker(management: Management, vhost: str, wanted: Sequence[User]) -> None:
    """Make all that is missing; raises `ConfigurationError` where another form is in the way."""
    if await management.get("vhosts", vhost) is None:
        await management.put("vhosts", vhost, body={})
    me = (await management.get("whoami"))["name"]
    if await management.get("permissions", vhost, me) is None:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await management.put("permissions", vhost, me, body=everything)
    await _drop_former_query_queues(management, vhost)
    for group in await missing(management, vhost, wanted):
        await asyncio.gather(*(management.make(d.method, d.path, d.body) for d in group))


async def _drop_former_query_queues(management: Management, vhost: str) -> None:
    """A queue in another form can't be redeclared; what is in these, nobody waits for any more."""
    for queue in TOPOLOGY.query_queues:
        found = await management.get("queues", vhost, queue.name)
        if found is not None and found["arguments"] != queue.arguments:
            await management.make("DELETE", ("queues", vhost, queue.name), {})


def _is_there(declared: Declared, found: Sequence[Mapping[str, Any]] | None) -> bool:
    return any(declared.marks.items() <= entry.items() for entry in found or ())
