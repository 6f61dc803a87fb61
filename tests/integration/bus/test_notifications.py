"""What another system tells over a broker of its own, on a real broker that plays its part."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import aiormq
import pytest
import trustme
from structlog.testing import capture_logs
from yarl import URL

from shared.bus import BusUnavailable, Notifications
from shared.bus.connection import ANYBODY_KNOWN
from shared.contract.identifiers import new_ulid
from shared.contract.topology import Binding
from shared.runtime.errors import ConfigurationError
from shared.runtime.tls import Trust
from tests.support.broker import VirtualHost
from tests.support.bus import until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)
QUEUE = "colobus.tests.vm_worker.cloud"
BINDINGS = (Binding("nova", "versioned_notifications.*"), Binding("neutron", "notifications.*"))


@dataclass
class Listener:
    """One replica: what it got, and whether it believes that it receives."""

    got: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    receiving: list[bool] = field(default_factory=list)
    raising: list[Exception] = field(default_factory=list)

    async def take(self, bodies: Sequence[bytes]) -> None:
        if self.raising:
            raise self.raising.pop(0)
        self.got += bodies
        self.batches.append(len(bodies))

    @asynccontextmanager
    async def listening(
        self, url: str, *, rebind: float = 30.0, trust: Trust = ANYBODY_KNOWN
    ) -> AsyncIterator[Listener]:
        notifications = Notifications(
            [url],
            self.take,
            self.receiving.append,
            cloud="cloud",
            name="tests",
            queue=QUEUE,
            bindings=BINDINGS,
            trust=trust,
            rebind_seconds=rebind,
        )
        task = asyncio.create_task(notifications.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def attached(self) -> None:
        await until(lambda: self.receiving and self.receiving[-1])


@asynccontextmanager
async def _cloud(vhost: VirtualHost) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """The cloud's side of its broker."""
    connection = aiormq.Connection(URL(vhost.url))
    await connection.connect()
    try:
        yield await connection.channel()
    finally:
        await connection.close()


@asynccontextmanager
async def _user(
    vhost: VirtualHost, *, queue: str
) -> AsyncIterator[tuple[str, Callable[[str], Awaitable[None]]]]:
    """A user who may do what the manual says with queues of this pattern; and how to change it."""
    name = f"test-{new_ulid()}"
    login = {"Authorization": aiohttp.encode_basic_auth(vhost.user, vhost.password)}
    base = f"{vhost.management}/api"
    async with aiohttp.ClientSession(headers=login, raise_for_status=True) as session:

        async def allow(pattern: str) -> None:
            rights = {
                "configure": pattern,
                "write": pattern,
                "read": f"^(nova|neutron)$|{pattern}",
            }
            await session.put(f"{base}/permissions/{vhost.name}/{name}", json=rights)

        await session.put(f"{base}/users/{name}", json={"password": "s3cret", "tags": ""})
        try:
            await allow(queue)
            yield str(URL(vhost.url).with_user(name).with_password("s3cret")), allow
        finally:
            await session.delete(f"{base}/users/{name}")


async def _tell(cloud: aiormq.abc.AbstractChannel, *bodies: bytes, exchange: str = "nova") -> None:
    key = "notifications.info" if exchange == "neutron" else "versioned_notifications.info"
    for body in bodies:
        await cloud.basic_publish(body, exchange=exchange, routing_key=key)


async def test_what_is_told_arrives_in_order_and_once_for_all_replicas(vhost: VirtualHost) -> None:
    """One replica gets all of it, from both exchanges; they are made where nobody has yet."""
    one, two = Listener(), Listener()
    async with one.listening(vhost.url), two.listening(vhost.url), _cloud(vhost) as cloud:
        await one.attached()
        await two.attached()
        told = [str(number).encode() for number in range(100)]
        await _tell(cloud, *told)
        await _tell(cloud, b"port", exchange="neutron")
        await until(lambda: len(one.got) + len(two.got) == 101)
        assert told in ([b for b in one.got if b != b"port"], [b for b in two.got if b != b"port"])
        assert [] in (one.got, two.got)


async def test_the_next_replica_takes_over_what_is_still_to_come(vhost: VirtualHost) -> None:
    """Nothing is lost between them, not even what comes while there is nobody."""
    one, two = Listener(), Listener()
    async with _cloud(vhost) as cloud:
        async with one.listening(vhost.url):
            await one.attached()
            await _tell(cloud, b"1")
            await until(lambda: one.got == [b"1"])
        await _tell(cloud, b"2")
        async with two.listening(vhost.url):
            await _tell(cloud, b"3")
            await until(lambda: two.got == [b"2", b"3"])


async def test_the_exchanges_are_taken_as_they_are(vhost: VirtualHost) -> None:
    """A cloud may have made them durable: theirs count, not our idea of them."""
    listener = Listener()
    async with _cloud(vhost) as cloud:
        for binding in BINDINGS:
            await cloud.exchange_declare(binding.exchange, exchange_type="topic", durable=True)
        async with listener.listening(vhost.url):
            await listener.attached()
            await _tell(cloud, b"1")
            await until(lambda: listener.got == [b"1"])


async def test_exchanges_that_vanish_are_bound_anew(vhost: VirtualHost) -> None:
    """Nobody tells when an exchange is deleted, so the bindings are renewed now and then."""
    listener = Listener()
    async with listener.listening(vhost.url, rebind=0.2), _cloud(vhost) as cloud:
        await listener.attached()
        await cloud.exchange_delete("nova")

        async def told() -> bool:
            with contextlib.suppress(aiormq.AMQPError):
                async with _cloud(vhost) as again:
                    await _tell(again, b"1")
            return bool(listener.got)

        await until(told)


async def test_a_lost_connection_is_told_and_re_made(vhost: VirtualHost) -> None:
    """What was told meanwhile is delivered then."""
    listener = Listener()
    async with (
        Proxy.to(vhost.url) as proxy,
        _cloud(vhost) as cloud,
        listener.listening(proxy.url),
    ):
        await listener.attached()
        await proxy.refuse()
        await proxy.cut()
        await until(lambda: listener.receiving == [True, False])
        await _tell(cloud, b"1")
        await proxy.accept()
        await until(lambda: listener.got == [b"1"])
        assert listener.receiving == [True, False, True]


async def test_a_broker_that_hangs_up_harms_nothing() -> None:
    """It goes on trying, and doesn't believe that it receives."""
    listener, tries = Listener(), 0

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, listener.listening(f"amqp://somebody@127.0.0.1:{port}/"):
        await until(lambda: tries >= 3)
        assert listener.receiving == []


async def test_a_queue_that_was_deleted_is_made_again(vhost: VirtualHost) -> None:
    """Its consumer is told by the broker."""
    listener = Listener()
    async with listener.listening(vhost.url), _cloud(vhost) as cloud:
        await listener.attached()
        await cloud.queue_delete(QUEUE)
        await until(lambda: listener.receiving == [True, False, True])
        await _tell(cloud, b"1")
        await until(lambda: listener.got == [b"1"])


async def test_what_could_not_be_passed_on_is_tried_again(vhost: VirtualHost) -> None:
    """Our own broker may be away for a moment."""
    listener = Listener(raising=[BusUnavailable("away"), BusUnavailable("away")])
    async with listener.listening(vhost.url), _cloud(vhost) as cloud:
        await listener.attached()
        await _tell(cloud, b"1")
        await until(lambda: listener.got == [b"1"])


async def test_a_fault_of_ours_costs_what_it_met_and_no_more(vhost: VirtualHost) -> None:
    """The process lives, and takes what comes next."""
    listener = Listener(raising=[ZeroDivisionError()])
    async with listener.listening(vhost.url), _cloud(vhost) as cloud:
        await listener.attached()
        await _tell(cloud, b"1")
        await until(lambda: not listener.raising)
        await _tell(cloud, b"2")
        await until(lambda: listener.got == [b"2"])


async def test_the_permissions_that_the_manual_asks_for_are_enough(vhost: VirtualHost) -> None:
    """A cloud's operator need not let us configure the cloud's exchanges, nor write to them."""
    listener = Listener()
    async with _cloud(vhost) as cloud, _user(vhost, queue=r"^colobus\.tests\.") as (url, _):
        for binding in BINDINGS:
            await cloud.exchange_declare(binding.exchange, exchange_type="topic")
        async with listener.listening(url, rebind=0.2):
            await listener.attached()
            await _tell(cloud, b"1")
            await until(lambda: listener.got == [b"1"])


async def test_without_permission_it_waits_for_it(vhost: VirtualHost) -> None:
    """Refused is not lost for ever: somebody may yet allow it."""
    listener = Listener()
    async with _user(vhost, queue="^$") as (url, allow):
        with capture_logs() as lines:
            async with listener.listening(url):
                await until(lambda: any("refused" in line["event"] for line in lines))
                assert listener.receiving == []
                await allow(r"^colobus\.tests\.|^nova$|^neutron$")
                await listener.attached()


@pytest.mark.parametrize("known", [True, False])
async def test_a_clouds_own_authority_vouches_for_its_broker(known: bool, tmp_path: Path) -> None:
    """Given, it is believed; else whom the system trusts, and nobody else."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(shown)
    greeted: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(4))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=shown)
    url = f"amqps://somebody@localhost:{server.sockets[0].getsockname()[1]}/"
    trust = Trust(tmp_path / "ca.pem") if known else Trust()
    async with server:
        with capture_logs() as lines:
            async with Listener().listening(url, trust=trust):
                await until(lambda: [one for one in lines if "not available" in one["event"]])
    assert greeted[:1] == ([b"AMQP"] if known else [])


async def test_a_url_that_cannot_be_read_is_said_at_once() -> None:
    """Not in the background, where nobody would see it; and not with the password in it."""
    with pytest.raises(ConfigurationError) as error:
        async with Listener().listening("amq://user:s3cret@host/"):
            pass
    assert "s3cret" not in str(error.value)
