"""A TCP proxy in front of a real server, whose cables tests can pull."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """``url`` leads through it.

    `cut` breaks all connections, `refuse` takes no new ones, `hold` lets none break and nothing
    through, as a network does that has stopped to carry packets. ``holds_after``: what passes with
    these bytes is the last that does, before it holds.
    """

    holds_after: bytes | None = None

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._carries = asyncio.Event()
        self._carries.set()
        self.accepted = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str) -> AsyncIterator[Self]:
        """Stand in front of ``target``, a URL with host and port."""
        proxy = cls(target)
        await proxy.accept()
        try:
            yield proxy
        finally:
            await proxy.refuse()
            await proxy.cut()

    @property
    def url(self) -> str:
        """The target's URL by way of this proxy."""
        return self.instead_of(urlunsplit(self._target))

    def instead_of(self, url: str) -> str:
        """Return ``url`` with this proxy's address, and everything else as it is."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self._port}"))

    async def accept(self) -> None:
        """Take connections (again), on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def cut(self) -> None:
        """Reset every connection, without a word to either side."""
        for writer in self._writers:
            writer.transport.abort()
        pumps = set(self._pumps)
        for pump in pumps:
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)

    def hold(self) -> None:
        """Carry nothing, and say nothing about it."""
        self._carries.clear()

    def release(self) -> None:
        """Carry again, beginning with what was held."""
        self.holds_after = None
        self._carries.set()

    @property
    def holds(self) -> bool:
        """Whether it carries nothing."""
        return not self._carries.is_set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            there = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()  # as if there were nothing in between
            return
        for source, sink in ((reader, there[1]), (there[0], writer)):
            self._writers.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._carries.wait()
                sink.write(data)
                if self.holds_after is not None and self.holds_after in data:
                    self.hold()  # before an answer can come
                await sink.drain()
            sink.close()  # in good order: what is still to be written, is
        except ConnectionError:
            sink.transport.abort()  # hung up
        finally:
            self._writers.discard(sink)
