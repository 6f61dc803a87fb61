"""The outbox between the real database and the real broker."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.bus import Bus
from shared.contract.outgoing import OutgoingMessage
from shared.runtime import tracing
from shared.runtime.errors import BackendUnavailable
from shared.storage import Database, Outbox
from tests.integration.storage.broker import Reader, bind, cut_connections, unbind
from tests.integration.storage.observing import (
    Observer,
    cut_all_others,
    expire_claims,
    until,
    until_empty,
)
from tests.integration.storage.samples import status_message
from tests.support.broker import VirtualHost


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    """The outbox at work; its failure is the test's."""
    work = asyncio.create_task(outbox.run())
    try:
        yield
        assert not work.done(), work.exception()
    finally:
        work.cancel()
        await asyncio.wait([work])


async def publish(database: Database, outbox: Outbox, *messages: OutgoingMessage) -> None:
    """Put in a transaction, commit, send."""
    async with database.transaction() as tx:
        batch = await outbox.put(tx, messages)
    outbox.send(batch)


async def test_what_is_committed_is_published_and_forgotten(
    database: Database, bus: Bus, observer: Observer
) -> None:
    """A message reaches its queue once, not marked as repeated, and its row goes."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        await publish(database, outbox, status_message("a"))
        (delivery,) = await reader.until(1)
        await until_empty(observer)
    assert (delivery.envelope.id, delivery.repeated) == ("a", False)


async def test_what_is_rolled_back_is_never_published(
    database: Database, bus: Bus, observer: Observer
) -> None:
    """A message goes with its cause: without the one, not the other."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        with pytest.raises(LookupError):
            await _put_and_fail(database, outbox)
        await publish(database, outbox, status_message("b"))
        await reader.until(1)
        await until_empty(observer)
    assert reader.ids == ["b"]


async def _put_and_fail(database: Database, outbox: Outbox) -> None:
    async with database.transaction() as tx:
        await outbox.put(tx, [status_message("a")])
        raise LookupError


KILLED_AFTER_COMMIT = """
import asyncio, os, signal, sys
from shared.runtime import tracing
from shared.runtime.errors import BackendUnavailable
from shared.storage import Database, Outbox
from tests.integration.storage.samples import status_message

async def main():
    database = await Database.connect(sys.argv[1], schema="scheduler")
    outbox = Outbox(database, None)
    async with database.transaction() as tx:
        batch = await outbox.put(tx, [status_message("a"), status_message("b", revision=2)])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_process_killed_between_commit_and_publish_loses_nothing(
    migrated_dsn: str, database: Database, bus: Bus, observer: Observer
) -> None:
    """Another process finds what the dead one left, and says that it may be a repetition."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_AFTER_COMMIT, migrated_dsn
    )
    assert await process.wait() == -signal.SIGKILL
    await expire_claims(observer)
    reader = Reader()
    await reader.start(bus)
    async with running(Outbox(database, bus)):
        deliveries = await reader.until(2)
        await until_empty(observer)
    assert [(d.envelope.id, d.repeated) for d in deliveries] == [("a", True), ("b", True)]


async def test_messages_of_one_resource_keep_their_order(
    database: Database, bus: Bus, observer: Observer
) -> None:
    """Within a batch and over batches, each resource's messages arrive as they were put."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        for number in range(0, 40, 2):
            pairs = [(r, n) for n in (number, number + 1) for r in ("vm-1", "vm-2")]
            messages = [status_message(f"{r}/{n}", resource_id=r, revision=n + 1) for r, n in pairs]
            await publish(database, outbox, *messages)
        await reader.until(80)
        await until_empty(observer)
    for resource in ("vm-1", "vm-2"):
        ids = [id for id in reader.ids if id.startswith(resource)]
        assert ids == [f"{resource}/{number}" for number in range(40)]


async def test_what_nobody_takes_waits_until_somebody_does(
    database: Database, bus: Bus, vhost: VirtualHost, observer: Observer
) -> None:
    """An unroutable message stays in its row, and goes when it can be routed again."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    await unbind(vhost)
    async with running(outbox):
        await publish(database, outbox, status_message("a"))
        await until(observer, "EXISTS (SELECT FROM outbox WHERE tries > 1)")
        await bind(vhost)
        await expire_claims(observer)
        await reader.until(1)
        await until_empty(observer)


async def test_two_processes_share_what_was_left_behind(
    database: Database, bus: Bus, observer: Observer
) -> None:
    """A row is claimed by one of them only, so nothing is published twice."""
    outbox, reader = Outbox(database, bus), Reader()
    async with database.transaction() as tx:
        await outbox.put(tx, [status_message(f"{n}", resource_id=f"vm-{n}") for n in range(300)])
    await expire_claims(observer)
    await reader.start(bus)
    async with running(outbox), running(Outbox(database, bus)):
        await reader.until(300)
        await until_empty(observer)
    assert len(reader.deliveries) == 300


async def test_a_burst_beyond_what_fits_in_hand_arrives_whole(
    database: Database, bus: Bus, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded: what doesn't fit waits in its row, and comes later."""
    monkeypatch.setattr("shared.storage.outbox.MAX_IN_HAND", 100)
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus, prefetch=200)
    messages = [status_message(f"{n}", resource_id=f"vm-{n}") for n in range(350)]
    await publish(database, outbox, *messages)
    await observer.execute("UPDATE outbox SET claimed_until = now() WHERE position > 100")
    async with running(outbox):
        await reader.until(350)
        await until_empty(observer)


async def test_cut_connections_to_the_broker_lose_nothing(
    database: Database, bus: Bus, vhost: VirtualHost, observer: Observer
) -> None:
    """Messages under way when the broker drops us are published again."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        for number in range(100):
            await publish(database, outbox, status_message(f"{number}", revision=number + 1))
            if number == 50:
                await cut_connections(vhost)
        await reader.until(100, seconds=60)
        await until_empty(observer)


async def publish_in_the_end(database: Database, outbox: Outbox, message: OutgoingMessage) -> None:
    """`publish`, repeated as a handler would be while the loss of a session comes out."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await publish(database, outbox, message)
            except BackendUnavailable:
                continue


async def test_an_outage_of_the_database_is_waited_for(
    database: Database, bus: Bus, observer: Observer
) -> None:
    """The outbox lives on when its connections are cut, and what comes after goes out."""
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        for number in range(20):
            await publish(database, outbox, status_message(f"a{number}", revision=number + 1))
        await cut_all_others(observer)
        await reader.until(20)
        await publish_in_the_end(database, outbox, status_message("b"))
        await reader.until(21)
        await until_empty(observer)


async def test_a_process_that_stops_publishes_first_what_it_has_in_hand(
    database: Database, bus: Bus, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart leaves nothing for others to find and repeat."""
    monkeypatch.setattr("shared.storage.outbox._FINISH_SECONDS", 30)
    monkeypatch.setattr("shared.storage.books._CLOSE_SECONDS", 30)
    outbox, reader = Outbox(database, bus), Reader()
    await reader.start(bus)
    async with running(outbox):
        messages = [status_message(f"{n}", resource_id=f"vm-{n}") for n in range(50)]
        await publish(database, outbox, *messages)
    assert await observer.fetchval("SELECT count(*) FROM outbox") == 0
    await reader.until(50)


class _Tracing:
    """A publisher that notes in which trace it is asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []

    async def publish(
        self, message: OutgoingMessage, *, repeated: bool = False, timeout: float = 15
    ) -> None:
        self.seen.append((message.id, tracing.traceparent()))


async def test_what_a_dead_process_left_behind_is_published_in_its_own_trace(
    database: Database, observer: Observer
) -> None:
    """The row keeps it, as part of the message; so does what is sent at once."""
    traces = {"left": f"00-{'a' * 32}-{'b' * 16}-01", "sent": f"00-{'c' * 32}-{'d' * 16}-01"}
    publisher = _Tracing()
    outbox = Outbox(database, publisher)
    async with database.transaction() as tx:
        await outbox.put(tx, [status_message("left", traceparent=traces["left"])])
    await expire_claims(observer)
    async with running(outbox):
        await publish(database, outbox, status_message("sent", traceparent=traces["sent"]))
        await until_empty(observer)
    assert dict(publisher.seen) == traces
