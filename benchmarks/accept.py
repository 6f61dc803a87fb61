"""Accepted POSTs per second, against a bare aiohttp handler with one confirmed publish: ≥ 0.6.

Ours is the real front door: authentication, validation, its row and the read model's committed,
the request confirmed by a quorum queue, the confirm noted, 202. The reference (`bare_handler`) does
the publishing alone. Both are one process on uvloop, loaded by the same client in another one, over
the same broker; nobody consumes, and the queues are emptied between rounds.
"""

from __future__ import annotations

import asyncio
import os

import aio_pika

from benchmarks import bare_handler
from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World, report_of, running
from tests.support.installation import Installation, free_ports


def run(world: World) -> list[Figure]:
    """Measure requests without and with an Idempotency-Key."""
    with world.colobus() as colobus:
        colobus.start("front_door")
        url = str.__str__(colobus.admin.admin_amqp_url[0])
        (port,) = free_ports(1)
        os.environ["BENCH_AMQP_URL"] = url
        with running("benchmarks.bare_handler", str(port)):
            _load(world, port)
            _ours(world, colobus, keyed=False)
            return [_compare(world, colobus, port, url, keyed=keyed) for keyed in (False, True)]


def _compare(world: World, colobus: Installation, port: int, url: str, *, keyed: bool) -> Figure:
    rounds, slowest = list[tuple[float, float]](), 0.0
    for _ in range(world.rounds):
        ours = _ours(world, colobus, keyed=keyed)
        rounds.append((ours["per_second"], _load(world, port)["per_second"]))
        slowest = max(slowest, ours["p99"])
        asyncio.run(_empty(url))
    with_key = "with" if keyed else "without"
    return side_by_side(
        f"accepted POSTs {with_key} Idempotency-Key",
        rounds,
        "/s",
        at_least=0.6,
        note=f"p99 at full load {slowest * 1000:.0f} ms",
    )


def _ours(world: World, colobus: Installation, *, keyed: bool) -> dict[str, float]:
    token = f"--token={colobus.tokens[TENANT]}"
    keys = ["--keyed"] if keyed else []
    return _load(world, colobus.ports["front_door"], token, *keys)


def _load(world: World, port: int, *more: str) -> dict[str, float]:
    seconds = 0.3 if world.tiny else 3
    return report_of("benchmarks.http_load", f"--port={port}", f"--seconds={seconds}", *more)


async def _empty(url: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for name in ("scheduler.requests", bare_handler.QUEUE):
            await (await channel.get_queue(name)).purge()
