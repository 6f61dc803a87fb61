"""A subscriber's endpoint for tests: programmable answers, everything received kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from svix.webhooks import Webhook, WebhookVerificationError

_MAX_BODY = 2 * 1024 * 1024


@dataclass(frozen=True)
class Received:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in the body."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def phase(self) -> str:
        """The phase of the resource it tells of."""
        return str(self.event["data"]["resource"]["status"]["phase"])

    @property
    def id(self) -> str:
        """The message's id, the same for every try."""
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Verify with the svix library, and by the letter of the specification.

        svix delegates to the library that also signs here; so the second opinion is computed from
        the Standard Webhooks specification with nothing but the standard library.
        """
        by_library = _verified(secret, self)
        by_letter = _signature(secret, self) in self.headers["webhook-signature"].split(" ")
        assert by_library == by_letter
        return by_library


def _verified(secret: str, received: Received) -> bool:
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def _signature(secret: str, received: Received) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    timestamp = received.headers["webhook-timestamp"]
    content = f"{received.id}.{timestamp}.".encode() + received.body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


@dataclass(frozen=True)
class Scripted:
    """An answer to give; with ``held`` not before that is set."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    held: asyncio.Event | None = None


class Receiver:
    """``will_answer`` scripts the next answers of a path; after these (and else) it is 204."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.base = ""
        self._scripts: dict[str, deque[Scripted]] = defaultdict(deque)
        self._always: dict[str, Scripted] = {}
        self._news = asyncio.Condition()

    def url(self, path: str = "/hook") -> str:
        """The URL of ``path`` here."""
        return self.base + path

    def will_answer(self, *answers: int | Scripted, path: str = "/hook") -> None:
        """Give these answers next, in this order."""
        self._scripts[path].extend(_scripted(answer) for answer in answers)

    def always_answers(self, answer: int | Scripted, path: str = "/hook") -> None:
        """Give this answer when nothing else is scripted."""
        self._always[path] = _scripted(answer)

    def at(self, path: str = "/hook") -> list[Received]:
        """What came to ``path``, in order of arrival."""
        return [received for received in self.received if received.path == path]

    async def until(self, done: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until ``done``, which is asked whenever something has arrived."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)

    async def until_received(self, count: int, path: str = "/hook") -> list[Received]:
        """Wait until ``count`` have come to ``path``; return all of them."""
        await self.until(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def handle(self, request: web.Request) -> web.Response:
        """Keep a request and answer as scripted."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with self._news:
            self.received.append(Received(request.path, headers, body))
            self._news.notify_all()
        script = self._scripts[request.path]
        answer = script.popleft() if script else self._always.get(request.path, Scripted())
        if answer.held is not None:
            await answer.held.wait()
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _scripted(answer: int | Scripted) -> Scripted:
    return answer if isinstance(answer, Scripted) else Scripted(answer)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """Serve a receiver on 127.0.0.1."""
    receiver = Receiver()
    app = web.Application(client_max_size=_MAX_BODY)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()
