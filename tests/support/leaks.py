"""Looking for secrets where they must not be: in messages, tables and logs, in any usual form."""

from __future__ import annotations

import asyncio
import base64
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiormq
import asyncpg
from aiormq.abc import DeliveredMessage

from devcloud.api import open_devcloud
from tests.support.installation import Installation

#: RabbitMQ's firehose: a copy of everything that is published and delivered in a virtual host, with
#: its properties, whatever exchange it went by, the default one included.
FIREHOSE = "amq.rabbitmq.trace"
#: The servers that an installation stands on and that log by themselves, as devcloud calls them.
SERVERS = ("rabbitmq", "postgresql")


def forms(secret: bytes) -> set[bytes]:
    """Return what to look for: the secret as it is, in hex, quoted, and in base64.

    In base64 it may begin at any of three places within a group; what lies at its edges is left
    off, since it depends on the neighbours.
    """
    found = {secret, secret.hex().encode(), urllib.parse.quote(secret, safe="").encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret + b"\0" * 3)
        inner = text[4 if shift else 0 : 4 * ((shift + len(secret)) // 3)]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return {form for form in found if len(form) >= 8}


class Leaks:
    """Which secrets were found where; ``secrets`` are {name: value}."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._forms = {name: forms(secret) for name, secret in secrets.items()}
        self.found: set[tuple[str, str]] = set()
        self.bytes_seen = 0

    def look(self, place: str, content: bytes) -> None:
        """Look for all of them in ``content``."""
        self.bytes_seen += len(content)
        for name, needles in self._forms.items():
            if any(needle in content for needle in needles):
                self.found.add((name, place))


@dataclass(frozen=True)
class ServerLogs:
    """What the broker and the database have logged themselves, whoever used them, from ``begins``.

    ``begins``: {log: where it ended then, in bytes}.
    """

    begins: Mapping[Path, int]

    @classmethod
    def from_now_on(cls) -> ServerLogs:
        """Nothing of what is in them already."""
        processes = open_devcloud().site.processes
        logs = [processes.log(server) for server in SERVERS]
        return cls({log: log.stat().st_size for log in logs})

    def said(self) -> Iterator[tuple[str, bytes]]:
        """Yield (log, what came to it)."""
        for path, begin in self.begins.items():
            with path.open("rb") as log:
                log.seek(begin)
                yield path.name, log.read()


class Tap:
    """Everything that goes over the broker of an installation, from the first message on.

    And what its servers log meanwhile.
    """

    def __init__(self, logs: ServerLogs | None = None) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.logs = logs or ServerLogs.from_now_on()

    @classmethod
    @asynccontextmanager
    async def on(
        cls, installation: Installation, logs: ServerLogs | None = None
    ) -> AsyncIterator[Tap]:
        """Turn the firehose on, and drink from it; ``logs`` may have begun earlier."""
        tap = cls(logs)
        connection = await aiormq.connect(installation.admin.admin_amqp_url[0])
        channel = await connection.channel()
        queue = await channel.queue_declare(exclusive=True)
        await channel.queue_bind(str(queue.queue), FIREHOSE, routing_key="#")
        await channel.basic_consume(str(queue.queue), tap._take, no_ack=True)
        await _trace(installation, on=True)
        try:
            yield tap
        finally:
            await _trace(installation, on=False)
            await connection.close()

    async def _take(self, message: DeliveredMessage) -> None:
        headers = repr(message.header.properties.headers).encode()
        self.taken.append((message.routing_key or "", headers + message.body))


async def _trace(installation: Installation, *, on: bool) -> None:
    async with _management(installation) as session:
        path = f"/api/vhosts/{installation.name}"
        async with session.put(path, json={"tracing": on}) as response:
            assert response.status in {201, 204}, await response.text()


def _management(installation: Installation) -> aiohttp.ClientSession:
    url = urllib.parse.urlsplit(str.__str__(installation.admin.admin_amqp_management_url))
    login = aiohttp.encode_basic_auth(url.username or "", url.password or "")
    base = f"http://{url.hostname}:{url.port}"
    return aiohttp.ClientSession(base, headers={"Authorization": login})


async def queued(installation: Installation) -> list[tuple[str, bytes]]:
    """Return all that lies in the queues now, (queue, properties and body); it stays there."""
    found = []
    async with _management(installation) as session:
        async with session.get(f"/api/queues/{installation.name}") as response:
            queues = [queue for queue in await response.json() if not queue["exclusive"]]
        for queue in queues:
            body = {"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto"}
            path = f"/api/queues/{installation.name}/{urllib.parse.quote(queue['name'])}/get"
            async with session.post(path, json=body) as response:
                for message in await response.json():
                    found.append((queue["name"], _as_bytes(message)))
    return found


def _as_bytes(message: Mapping[str, Any]) -> bytes:
    payload = str(message["payload"]).encode()
    if message["payload_encoding"] == "base64":
        payload = base64.b64decode(payload)
    return repr(message["properties"]).encode() + payload


async def stored(installation: Installation) -> list[tuple[str, bytes]]:
    """Return the content of every table of every schema, (table, its rows as text)."""
    connection = await asyncpg.connect(str.__str__(installation.admin.admin_database_dsn))
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', table_schema, table_name) AS name FROM"
            " information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        found = []
        for (name,) in tables:
            rows = await connection.fetch(f"SELECT row_to_json(t)::text AS row FROM {name} AS t")
            found.append((name, b"\n".join(row["row"].encode() for row in rows)))
            found += [(name, blob) for blob in await _blobs(connection, name)]
    finally:
        await connection.close()
    return found


async def _blobs(connection: asyncpg.Connection, table: str) -> list[bytes]:
    """The columns of bytes as they are: as text they would be hex."""
    columns = await connection.fetch(
        "SELECT quote_ident(attname) AS name FROM pg_attribute"
        " WHERE attrelid = $1::regclass AND atttypid = 'bytea'::regtype AND NOT attisdropped",
        table,
    )
    found = []
    for (column,) in columns:
        rows = await connection.fetch(f"SELECT {column} AS value FROM {table}")
        found += [row["value"] for row in rows if row["value"] is not None]
    return found


def logged(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Every log of every process."""
    for path in sorted(installation.folder.glob("*.log")):
        yield path.name, path.read_bytes()


async def measured(installation: Installation) -> list[tuple[str, bytes]]:
    """What every process shows of its metrics."""
    async with aiohttp.ClientSession() as session:

        async def metrics(process: str) -> tuple[str, bytes]:
            async with session.get(f"{installation.url_of(process)}/metrics") as response:
                return f"{process}/metrics", await response.read()

        return list(await asyncio.gather(*map(metrics, installation.processes)))


async def search(leaks: Leaks, installation: Installation, tap: Tap) -> None:
    """Look for the secrets everywhere."""
    places = [*tap.taken, *await queued(installation), *await stored(installation)]
    places += [*logged(installation), *tap.logs.said(), *await measured(installation)]
    for place, content in places:
        leaks.look(place, content)
