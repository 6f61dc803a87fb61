"""A small HTTP client that costs little itself: keep-alive connections that POST without a pause.

``python -m benchmarks.http_load --port … --seconds …`` prints how many were accepted and how long
each took. It reads no more of an answer than its status and length, so that most of the processor
is left to the server. Any answer but 202 ends the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from functools import partial
from typing import cast

import uvloop

from benchmarks.figures import percentile

BODY = {"image": "debian-12", "flavor": "small", "labels": {"job": "4711"}}


class Poster(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until ``ends``."""

    def __init__(
        self, head: bytes, body: bytes, *, keyed: bool, ends: float, took: list[float]
    ) -> None:
        self._head, self._body, self._keyed = head, body, keyed
        self._ends, self._took = ends, took
        self._answer = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that closes the connection has failed."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; after its end, go on."""
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(RuntimeError(self._answer.decode(errors="replace")))
            return
        now = time.perf_counter()
        self._took.append(now - self._began)
        if now < self._ends:
            self._post()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _post(self) -> None:
        key = f"Idempotency-Key: {secrets.token_hex(16)}\r\n".encode() if self._keyed else b""
        self._answer, self._began = b"", time.perf_counter()
        self._transport.write(self._head + key + b"\r\n" + self._body)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


async def load(options: argparse.Namespace) -> dict[str, float]:
    """Load the server; return accepted requests per second and percentiles of their time (s)."""
    body = json.dumps(BODY | ({"network": options.network} if options.network else {})).encode()
    head = (
        f"POST {options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {options.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
    ).encode()
    began, took = time.perf_counter(), list[float]()
    ends = began + options.seconds
    posters = [
        Poster(head, body, keyed=options.keyed, ends=ends, took=took)
        for _ in range(options.connections)
    ]
    loop = asyncio.get_running_loop()
    for poster in posters:
        await loop.create_connection(partial(_same, poster), "127.0.0.1", options.port)
    await asyncio.gather(*(poster.done for poster in posters))
    seconds = time.perf_counter() - began
    return {
        "per_second": len(took) / seconds,
        "p50": percentile(took, 0.5),
        "p99": percentile(took, 0.99),
    }


def _same(poster: Poster) -> Poster:
    return poster


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/v1/vms")
    parser.add_argument("--token", default="none")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--network", default="")
    parser.add_argument("--keyed", action="store_true")
    sys.stdout.write(json.dumps(uvloop.run(load(parser.parse_args()))))


if __name__ == "__main__":
    main()
