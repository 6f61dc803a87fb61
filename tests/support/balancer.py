"""A TCP balancer in front of several replicas, as small as one can be.

Each connection goes to the next replica that takes it; one that was killed takes none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from urllib.parse import urlsplit


class Balancer:
    """``url`` leads to one of ``targets`` (URLs), in turn."""

    def __init__(self, targets: Sequence[str]) -> None:
        self._targets = [urlsplit(target) for target in targets]
        self._turn = count()
        self._pumps: set[asyncio.Task[None]] = set()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, *targets: str) -> AsyncIterator[Balancer]:
        """Stand in front of ``targets``."""
        balancer = cls(targets)
        server = await asyncio.start_server(balancer._serve, "127.0.0.1", 0)
        balancer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield balancer
        finally:
            server.close()
            for pump in set(balancer._pumps):
                pump.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turn)
        for turn in range(first, first + len(self._targets)):
            target = self._targets[turn % len(self._targets)]
            try:
                there = await asyncio.open_connection(target.hostname, target.port)
            except OSError:
                continue
            for source, sink in ((reader, there[1]), (there[0], writer)):
                pump = asyncio.create_task(_pump(source, sink))
                self._pumps.add(pump)
                pump.add_done_callback(self._pumps.discard)
            return
        writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        sink.transport.abort()
    finally:
        sink.close()
