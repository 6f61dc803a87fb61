"""From a status on the bus to an SSE client and to a webhook's receiver: p50 ≤ 20 ms each.

Statuses are published on ``colobus.status`` as the scheduler's user would, one every 50 ms, so that
none waits for another: a light load. The time runs from the call that publishes to the arrival of
the whole event: at a client of ``GET /v1/events`` (over the front door's database), and at a
subscriber's endpoint (signed, stored and sent by the webhook worker). There is no reference: the
broker, the commits and the HTTP request are all in it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import aiohttp

from benchmarks.figures import Figure, percentile
from benchmarks.world import TENANT, World
from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import ResourceStatusChanged
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Phase, Resource, Status
from tests.support.installation import Installation
from tests.support.webhooks import receiving

_PAUSE = 0.05
_PATIENCE = 30.0


def run(world: World) -> list[Figure]:
    """Measure both at once."""
    with world.colobus() as colobus:
        colobus.start("front_door", "webhook_worker")
        sse, webhooks = asyncio.run(_measure(colobus, world.size(200, 5)))
    return [
        figure
        for name, took in (("an SSE client", sse), ("a webhook's receiver", webhooks))
        for figure in (
            Figure(what=f"status → {name}, p50", ours=percentile(took, 0.5), unit="ms", at_most=20),
            Figure(what="its p99", ours=percentile(took, 0.99), unit="ms"),
        )
    ]


class _Heard:
    """When which resource's event arrived at the stream's client."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self._news = asyncio.Event()

    def note(self, subject: str) -> None:
        """It has arrived now."""
        self.at[subject] = time.perf_counter()
        self._news.set()

    async def until(self, subject: str) -> None:
        """Wait for it."""
        async with asyncio.timeout(_PATIENCE):
            while subject not in self.at:
                self._news.clear()
                await self._news.wait()


async def _measure(colobus: Installation, count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds that each of ``count`` statuses took, on both ways."""
    heard = _Heard()
    headers = {"Authorization": f"Bearer {colobus.tokens[TENANT]}"}
    url = colobus.environment("scheduler")["COLOBUS_AMQP_URLS"]
    bus = await Bus.connect(url.split(","), name="bench")
    async with aiohttp.ClientSession(headers=headers) as session, receiving() as receiver:
        body = {"url": receiver.url()}
        async with session.post(f"{colobus.url}/v1/webhooks", json=body) as answer:
            answer.raise_for_status()
        listening = await _listen(session, colobus.url, heard)
        published: dict[str, float] = {}
        arrived: dict[str, float] = {}
        for number in range(count + 3):  # the first few find caches and connections cold
            message, subject = _status()
            published[subject] = time.perf_counter()
            await bus.publish(message)
            await receiver.until_received(number + 1)
            arrived[subject] = time.perf_counter()
            await heard.until(subject)
            await asyncio.sleep(_PAUSE)
        listening.cancel()
    await bus.close()
    subjects = list(published)[3:]
    return (
        [1000 * (heard.at[one] - published[one]) for one in subjects],
        [1000 * (arrived[one] - published[one]) for one in subjects],
    )


async def _listen(session: aiohttp.ClientSession, url: str, heard: _Heard) -> asyncio.Task[None]:
    """Note when which resource's event has arrived, from now on."""
    request = session.get(f"{url}/v1/events", headers={"Accept": "text/event-stream"}, timeout=None)
    stream = await request
    stream.raise_for_status()

    async def listen() -> None:
        async for line in stream.content:
            if line.startswith(b"data:"):
                subject = line.partition(b'"resource_id":"')[2].partition(b'"')[0].decode()
                heard.note(subject)

    return asyncio.create_task(listen())


def _status() -> tuple[OutgoingMessage, str]:
    now = datetime.now(UTC)
    resource = Resource(
        id=new_id("vm"),
        kind="vm",
        tenant=TENANT,
        name=None,
        labels={"job": "4711"},
        spec={"image": "debian-12", "flavor": "small"},
        status=Status(phase=Phase.ACTIVE),
        lease=None,
        deadline=None,
        created_at=now,
        updated_at=now,
        revision=1,
    )
    message = ResourceStatusChanged(resource=resource, previous_phase=Phase.PROVISIONING)
    envelope = envelope_for(
        message, source="/scheduler/bench", subject=resource.id, tenant=TENANT, sequence=1
    )
    return outgoing.status(envelope, message), resource.id
