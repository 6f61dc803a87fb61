"""The reference of `accept`: an aiohttp handler that publishes once, with a confirm, and says 202.

``python -m benchmarks.bare_handler PORT`` with the broker's URL in BENCH_AMQP_URL. It keeps
nothing, checks nothing and knows nobody; its queue is a quorum queue as ours are.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aio_pika
import msgspec
import uvloop
from aiohttp import web

from shared.contract.identifiers import new_ulid

EXCHANGE, QUEUE, KEY = "bench.requests", "bench.requests", "bigtop.vm.create"


async def serve(port: int, url: str) -> None:
    """Serve until killed."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
    queue = await channel.declare_queue(
        QUEUE, durable=True, arguments={"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    )
    await queue.bind(exchange, "#")

    async def handle(request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        document = msgspec.json.encode({"id": new_ulid(), "spec": body})
        message = aio_pika.Message(
            document,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, KEY, mandatory=True)
        return web.Response(status=202, body=document, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/vms", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), os.environ["BENCH_AMQP_URL"]))
