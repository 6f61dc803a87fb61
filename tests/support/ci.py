"""A CI system on the bus, under its tenant's own broker user: asks, is answered, and follows."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from colobus.client import Client
from colobus.errors import NotFound
from shared.bus.connection import ChannelGone, ChannelRefused, broker_errors
from shared.contract import topology
from tests.support.conditions import eventually

SPEC = {"image": "debian-12", "flavor": "small"}
#: How long one try may take, of all that a program publishes until it is answered, in seconds.
ONE_TRY = 10
_T = TypeVar("_T")


class CiSystem:
    """What a program of a tenant's would be: JSON and AMQP, and none of our code."""

    def __init__(self, tenant: str, url: str, connection: aiormq.Connection) -> None:
        self.tenant = tenant
        self.user = urlsplit(url).username or ""
        self.queue = f"{self.user}.{uuid.uuid4()}"
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.statuses: list[dict[str, Any]] = []
        self._connection = connection
        self._channel: aiormq.Channel | None = None

    @classmethod
    @asynccontextmanager
    async def of(cls, tenant: str, url: str) -> AsyncIterator[CiSystem]:
        """Connect, and follow the tenant's status with a queue of its own."""
        connection = await aiormq.connect(url)
        made = cls(tenant, url, connection)
        try:
            channel = await made.channel()
            await channel.queue_declare(made.queue, exclusive=True, auto_delete=True)
            await channel.queue_bind(made.queue, topology.STATUS, routing_key=f"{tenant}.vm.#")
            await channel.basic_consume(made.queue, made._take, no_ack=True)
            yield made
        finally:
            await connection.close()

    async def channel(self) -> aiormq.Channel:
        """A channel of its own: the broker closes it at each trespass."""
        channel = await self._connection.channel(publisher_confirms=True)
        assert isinstance(channel, aiormq.Channel)
        return channel

    async def publish(
        self,
        data: dict[str, Any],
        *,
        key: str | None = None,
        body: bytes | None = None,
        user_id: str | None = "own",
        reply_to: str | None = "own",
        correlation_id: str | None = None,
        **attributes: Any,
    ) -> str:
        """Publish a request, confirmed; returns the correlation id under which it is answered."""
        correlation = correlation_id or str(uuid.uuid4())
        event = self.event(data, **attributes)
        if self._channel is None or self._channel.is_closed:
            self._channel = await self.channel()
        confirmed = await self._channel.basic_publish(
            json.dumps(event).encode() if body is None else body,
            exchange=topology.REQUESTS,
            routing_key=key or f"{self.tenant}.{data['kind']}.{data['verb']}",
            properties=Basic.Properties(
                content_type="application/cloudevents+json",
                delivery_mode=2,
                user_id=self.user if user_id == "own" else user_id,
                reply_to=self.queue if reply_to == "own" else reply_to,
                correlation_id=correlation,
            ),
            mandatory=True,
        )
        assert isinstance(confirmed, Basic.Ack)
        return correlation

    def event(self, data: dict[str, Any], **attributes: Any) -> dict[str, Any]:
        """The CloudEvent of a request; an attribute of None is left out."""
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/ci/tests",
            "type": "org.colobus.RequestSubmitted.v1",
            "time": datetime.now(UTC).isoformat(),
            "tenant": self.tenant,
            **attributes,
            "data": data,
        }
        return {name: value for name, value in event.items() if value is not None}

    async def answer(self, correlation: str, count: int = 1) -> dict[str, Any]:
        """Wait for the ``count``-th answer under this correlation id.

        Raises `ConnectionError` when the connection is lost, and its queue with it.
        """

        async def arrived() -> dict[str, Any] | None:
            answers = self.answers.get(correlation, [])
            if len(answers) < count:
                self._check_connection()
                return None
            return answers[count - 1]

        return await eventually(arrived, within=60, what=f"answer {count} to {correlation}")

    async def ask(self, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Publish a request and wait for its answer."""
        return await self.answer(await self.publish(data, **more))

    async def create(self, **fields: Any) -> str:
        """Ask for a VM; returns its id."""
        answer = await self.ask({"verb": "create", "kind": "vm", "spec": SPEC, **fields})
        return str(accepted(answer)["id"])

    async def do(self, verb: str, vm: str, **fields: Any) -> dict[str, Any]:
        """Ask for another verb; returns the resource as it then was."""
        return accepted(await self.ask({"verb": verb, "kind": "vm", "resource_id": vm, **fields}))

    async def until(self, vm: str, phase: str, within: float = 60) -> dict[str, Any]:
        """Wait until a status message shows the VM in this phase; returns the resource.

        Raises `ConnectionError` as `answer` does.
        """

        async def reached() -> dict[str, Any] | None:
            shown = [one["data"]["resource"] for one in self.statuses if one["subject"] == vm]
            last: dict[str, Any] = max(shown, key=lambda one: int(one["revision"]), default={})
            if not last or last["status"]["phase"] != phase:
                self._check_connection()
                return None
            return last

        return await eventually(reached, within=within, what=f"{vm} is {phase}")

    def _check_connection(self) -> None:
        if self._connection.is_closed:
            raise ConnectionError("the broker is gone, and with it what would still come")

    async def _take(self, message: DeliveredMessage) -> None:
        event = json.loads(message.body)
        if event["type"] == "org.colobus.ResourceStatusChanged.v1":
            self.statuses.append(event)
            return
        correlation = message.header.properties.correlation_id or ""
        self.answers.setdefault(correlation, []).append(event)


async def until_done(
    tenant: str, urls: Iterable[str], do: Callable[[CiSystem], Awaitable[_T]]
) -> _T:
    """Do it at one broker after the other, for ever, until none was in the way; return what it did.

    It may be done several times: what is published again is to be the same event.
    """
    for url in itertools.cycle(urls):
        try:
            async with asyncio.timeout(ONE_TRY), broker_errors(), CiSystem.of(tenant, url) as ci:
                return await do(ci)
        except (ChannelGone, ChannelRefused, aiormq.DeliveryError, TimeoutError) as error:
            if isinstance(error.__cause__, AssertionError | LookupError):  # another answer
                raise error.__cause__ from None
        await asyncio.sleep(0.5)
    raise AssertionError("there is no broker")


def accepted(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the resource of a `RequestAccepted`."""
    assert answer["type"] == "org.colobus.RequestAccepted.v1", answer
    resource: dict[str, Any] = answer["data"]["resource"]
    return resource


def refused(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the problem of a `RequestRefused`."""
    assert answer["type"] == "org.colobus.RequestRefused.v1", answer
    problem: dict[str, Any] = answer["data"]["problem"]
    return problem


async def shown(client: Client, vm: str) -> None:
    """Wait until the front door shows it: it learns of a request by bus from the first status."""

    async def found() -> bool:
        try:
            await client.get(vm)
        except NotFound:
            return False
        return True

    await eventually(found, what=f"{vm} is shown")
