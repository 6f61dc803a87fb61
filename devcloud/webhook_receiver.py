"""A subscriber for the demo and the tests: takes webhooks, keeps the latest, shows them as JSON.

``POST /hooks/…`` takes one; ``GET /deliveries?resource=<id>&wait=<seconds>&after=<number>`` shows
those about a resource (or all), waiting until there is one beyond ``after``. It verifies nothing:
that is for whoever holds the secret.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from devcloud.ports import HOST

KEPT = 2000
LONGEST_WAIT = 30.0


@dataclass(frozen=True)
class Received:
    """One webhook as it came. ``number`` grows by one; ``headers`` have lower-case names."""

    number: int
    at: str
    path: str
    headers: dict[str, str]
    body: str
    subject: str | None


@dataclass
class Inbox:
    """The latest webhooks, and who waits for the next."""

    received: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT))
    count: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def beyond(self, after: int, resource: str | None) -> list[Received]:
        """Return what came after that number, about that resource."""
        newer = (hook for hook in self.received if hook.number > after)
        return [hook for hook in newer if resource in (None, hook.subject)]


INBOX = web.AppKey("inbox", Inbox)


async def take(request: web.Request) -> web.Response:
    """Keep a webhook and answer 204."""
    inbox, body = request.app[INBOX], (await request.read()).decode("utf-8", "replace")
    async with inbox.news:
        inbox.count += 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        now = datetime.now(UTC).isoformat()
        hook = Received(inbox.count, now, request.path, headers, body, _subject(body))
        inbox.received.append(hook)
        inbox.news.notify_all()
    print(json.dumps({"at": now, "path": hook.path, "subject": hook.subject}), flush=True)
    return web.Response(status=204)


async def show(request: web.Request) -> web.Response:
    """Return what was received."""
    inbox, resource = request.app[INBOX], request.query.get("resource")
    after = int(request.query.get("after", "0"))
    wait = min(float(request.query.get("wait", "0")), LONGEST_WAIT)
    try:
        async with asyncio.timeout(wait), inbox.news:
            await inbox.news.wait_for(lambda: inbox.beyond(after, resource))
    except TimeoutError:
        return web.json_response([])
    return web.json_response([asdict(hook) for hook in inbox.beyond(after, resource)])


async def healthz(request: web.Request) -> web.Response:
    """Tell that it runs."""
    return web.Response(text="ok\n")


def _subject(body: str) -> str | None:
    try:
        event = json.loads(body)
    except ValueError:
        return None
    subject = event.get("subject") if isinstance(event, dict) else None
    return subject if isinstance(subject, str) else None


def application() -> web.Application:
    """Return the application with an empty inbox."""
    app = web.Application()
    app[INBOX] = Inbox()
    app.router.add_post("/hooks/{rest:.*}", take)
    app.router.add_get("/deliveries", show)
    app.router.add_get("/healthz", healthz)
    return app


if __name__ == "__main__":
    web.run_app(application(), host=HOST, port=int(os.environ["WEBHOOK_RECEIVER_PORT"]), print=None)
