"""Replicas of the front door on the real broker and database, and their neighbours, played."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import yaml

from services.front_door import wiring
from services.front_door.context import FrontDoor
from services.front_door.settings import FrontDoorSettings
from shared.bus import Bus, Delivery
from shared.contract import outgoing
from shared.contract.codec import Envelope, envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    GetStorageCatalog,
    Message,
    RequestSubmitted,
    ResourceStatusChanged,
    StorageCatalogReported,
)
from shared.contract.resources import Phase, Resource, Status
from shared.runtime.lifecycle import Service
from shared.runtime.secrets import SealingKey
from shared.runtime.settings import load
from tests.support.bus import until

MIGRATIONS = Path(wiring.__file__).parent / "migrations"
A_VM: dict[str, Any] = {"image": "debian-12", "flavor": "small"}


@dataclass(frozen=True)
class Tenant:
    """A tenant of one test's own, and the tokens of a member and of a reader."""

    name: str
    member: str
    reader: str


def tenants_document(
    count: int, *stores: str, metals: Sequence[str] = ()
) -> tuple[str, list[Tenant]]:
    """A tenants file, and who is in it; with these stores, and metals on the first of them."""
    names = [f"tenant-{number}" for number in range(count)]
    tenants = [Tenant(name, f"{name}-member", f"{name}-reader") for name in names]
    entries = {
        tenant.name: {
            "projects": {"devcloud": f"project-of-{tenant.name}"},
            "tokens": [
                {"name": "m", "role": "member", "sha256": _sha256(tenant.member)},
                {"name": "r", "role": "reader", "sha256": _sha256(tenant.reader)},
            ],
        }
        for tenant in tenants
    }
    document: dict[str, Any] = {"tenants": entries, "stores": {store: {} for store in stores}}
    document["metals"] = {name: {"store": stores[0], "cloud": "devcloud"} for name in metals}
    return yaml.safe_dump(document), tenants


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What came back, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> Any:
        """The body as a problem document, which it must then be."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body[:200]
        assert self.json["status"] == self.status
        return self.json


class _Service(Service):
    """A service that tells on which port it listens."""

    port = 0

    def listening(self, addresses: Any) -> None:
        self.port = addresses[0][1]


@dataclass
class Door:
    """One replica, and a client of it."""

    parts: FrontDoor
    service: Service
    url: str
    session: aiohttp.ClientSession

    async def request(
        self, method: str, path: str, who: Tenant | str | None = None, **more: Any
    ) -> Answer:
        """Send; ``who`` is a tenant (its member) or a token."""
        token = who.member if isinstance(who, Tenant) else who
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= more.pop("headers", {})
        async with self.session.request(
            method, f"{self.url}{path}", headers=headers, allow_redirects=False, **more
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, who: Tenant | str, **more: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, who, **more)

    async def post(self, path: str, who: Tenant | str, body: Any = None, **more: Any) -> Answer:
        """POST ``body`` as JSON (bytes as they are)."""
        if isinstance(body, bytes):
            more["headers"] = {"Content-Type": "application/json", **more.get("headers", {})}
            return await self.request("POST", path, who, data=body, **more)
        return await self.request("POST", path, who, json=body, **more)

    async def create(self, who: Tenant, body: Any = None, **more: Any) -> Any:
        """Ask for a VM and return it; fails unless it is accepted."""
        answer = await self.post("/v1/vms", who, body or A_VM, **more)
        assert answer.status == 202, answer.body
        return answer.json

    @asynccontextmanager
    async def stream(
        self, path: str, who: Tenant, last: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a stream."""
        headers = {"Authorization": f"Bearer {who.member}", "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": last} if last is not None else {}
        async with self.session.get(f"{self.url}{path}", headers=headers) as response:
            yield response


class Neighbours:
    """The scheduler, the workers and all else that the front door talks to, played by the test."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._requests: dict[str, list[Delivery]] = defaultdict(list)
        #: What queries are answered with, by the type of the query.
        self.answers: dict[type[Message], Callable[[Envelope, Any], Message | Awaitable[Message]]]
        self.answers = {GetStorageCatalog: lambda *_: StorageCatalogReported(stores=())}

    async def start(self) -> None:
        """Consume requests and answer queries."""
        await self.bus.consume("scheduler.requests", self._requested)
        for owner in ("scheduler", "vm_worker", "iscsi_worker", "k8s_worker", "webhook_worker"):
            await self.bus.serve_queries(owner, self._asked)

    async def _requested(self, delivery: Delivery) -> None:
        self._requests[delivery.envelope.tenant].append(delivery)

    async def _asked(self, envelope: Envelope, query: Message) -> Message:
        answer = self.answers[type(query)](envelope, query)
        return await answer if inspect.isawaitable(answer) else answer

    async def deliveries(self, tenant: Tenant, count: int) -> list[Delivery]:
        """Wait for ``count`` requests of the tenant, in the order of their arrival."""
        await until(lambda: len(self._requests[tenant.name]) >= count)
        return self._requests[tenant.name]

    async def requests(self, tenant: Tenant, count: int = 1) -> list[RequestSubmitted]:
        """Wait for ``count`` requests of the tenant, as the scheduler takes them: each id once."""
        await until(lambda: len(self._distinct(tenant)) >= count)
        return [_request(delivery) for delivery in self._distinct(tenant)]

    def _distinct(self, tenant: Tenant) -> list[Delivery]:
        first: dict[str, Delivery] = {}
        for delivery in self._requests[tenant.name]:
            first.setdefault(delivery.envelope.id, delivery)
        return list(first.values())

    async def publish_status(self, resource: Resource, callback_url: str | None = None) -> None:
        """Tell what became of a resource."""
        message = ResourceStatusChanged(resource=resource, callback_url=callback_url)
        envelope = envelope_for(
            message,
            source="/scheduler/test",
            subject=resource.id,
            tenant=resource.tenant,
            sequence=resource.revision,
        )
        await self.bus.publish(outgoing.status(envelope, message))

    async def publish_event(
        self, tenant: Tenant, subject: str, message: Message, **more: Any
    ) -> None:
        """Publish a worker's event."""
        envelope = envelope_for(
            message, source="/vm_worker/test", subject=subject, tenant=tenant.name, **more
        )
        await self.bus.publish(outgoing.event("vm", envelope, message))


def _request(delivery: Delivery) -> RequestSubmitted:
    assert isinstance(delivery.message, RequestSubmitted)
    return delivery.message


def a_resource(
    tenant: Tenant, phase: Phase, revision: int, resource_id: str | None = None, **more: Any
) -> Resource:
    """A VM, or one of another ``kind``, as the scheduler would tell of it."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"spec": dict(A_VM), "created_at": now, "updated_at": now} | more
    kind = values.pop("kind", "vm")
    return Resource(
        id=resource_id or new_id(kind),
        kind=kind,
        tenant=tenant.name,
        status=more.pop("status", None) or Status(phase=phase),
        revision=revision,
        **{name: value for name, value in values.items() if name != "status"},
    )


@dataclass
class House:
    """Everything around the replicas; tenants are handed out one to a test."""

    environment: dict[str, str]
    database_dsn: str
    broker_url: str
    neighbours: Neighbours
    sealing_keys: dict[str, SealingKey]
    tenants: list[Tenant]
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def tenant(self) -> Tenant:
        """A tenant that nobody else uses."""
        return self.tenants[next(self._numbers)]

    @asynccontextmanager
    async def replica(self, **settings: str) -> AsyncIterator[Door]:
        """Start a front door; ``settings`` are environment variables without their prefix."""
        extra = {f"COLOBUS_{name.upper()}": value for name, value in settings.items()}
        service = _Service("front_door")
        try:
            parts = await wiring.start(service, load(FrontDoorSettings, self.environment | extra))
            service.wired = True
            async with aiohttp.ClientSession() as session:
                yield Door(parts, service, f"http://127.0.0.1:{service.port}", session)
        finally:
            await service.drain(5)
            await service.close(5)

    async def sql(self, statement: str, *values: Any) -> list[Any]:
        """Look into the front door's tables."""
        connection = await asyncpg.connect(self.database_dsn)
        try:
            await connection.execute("SET search_path TO front_door")
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


class EventReader:
    """Reads server-sent events off a response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def block(self) -> dict[str, str]:
        """The next block: its fields by name; a comment is under the empty name."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            while True:
                line = (await self._response.content.readline()).decode()
                if line in ("\n", ""):
                    return fields
                name, _, value = line.rstrip("\n").partition(":")
                fields[name] = value.strip()

    async def event(self) -> dict[str, Any]:
        """The next event: type, id and data (decoded); {} at the end of the stream."""
        while block := await self.block():
            if "event" in block:
                data = msgspec.json.decode(block["data"])
                return {"event": block["event"], "id": block.get("id"), "data": data}
        return {}
