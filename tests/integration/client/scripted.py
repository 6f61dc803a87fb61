"""A front door that misbehaves as told: what the real one can't be made to do at will.

Each answer is a coroutine function of the request; a script is a list of them per method and
path, and the last one goes on answering.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from colobus.models import (
    Lease,
    Phase,
    Placement,
    Resource,
    Status,
    Step,
    StepState,
    TimelineEvent,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
ULID = "01jdzq6v7n0000000000000000"
VM = f"vm-{ULID}"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Scripted:
    """``seen`` are the requests that came: (method, path, headers, body)."""

    script: dict[tuple[str, str], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer these requests so, one after the other."""
        self.script[method, path] += answers

    def headers(self, name: str) -> list[str | None]:
        """Return what each request said in a header."""
        return [headers.get(name) for _, _, headers, _ in self.seen]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and answer it."""
        self.seen.append(
            (request.method, request.path, dict(request.headers), await request.read())
        )
        answers = self.script[request.method, request.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


@asynccontextmanager
async def serving(scripted: Scripted) -> AsyncIterator[Scripted]:
    """Serve the script on a port of loopback."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", scripted.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        scripted.url = str(server.make_url("/"))
        yield scripted


def says(value: object, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        body = msgspec.json.encode(value)
        return web.Response(
            body=body, status=status, headers=names, content_type="application/json"
        )

    return answer


def problem(status: int, title: str = "No", **members: Any) -> Answer:
    """Answer with a problem document."""
    return says({"title": title, "status": status, **members}, status)


async def drops(request: web.Request) -> web.StreamResponse:
    """Take the request and close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def streams(*chunks: str, breaks: bool = True, apart: float = 0.0) -> Answer:
    """Send these chunks of a stream, ``apart`` seconds from each other.

    Then break, or stay silent until the client leaves.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk.encode())
            await asyncio.sleep(apart)
        if breaks:
            assert request.transport is not None
            request.transport.abort()
        else:
            await asyncio.Event().wait()
        return response

    return answer


def vm(phase: Phase, revision: int, **status: Any) -> Resource:
    """Return a VM in that phase."""
    steps = (Step(name="port", worker="vm_worker", state=StepState.DONE, attempt=1),)
    return Resource(
        id=VM,
        kind="vm",
        tenant="bigtop",
        name="build-1",
        spec={"image": "debian", "flavor": "small"},
        status=Status(phase=phase, steps=steps, **status),
        created_at=NOW,
        updated_at=NOW,
        revision=revision,
        lease=Lease(ttl=60),
    )


def stored(kind: str, phase: Phase, spec: dict[str, Any], **status: Any) -> Resource:
    """Return a volume, snapshot, attachment or machine in that phase."""
    places = {"machine": Placement(metal="lab", store="ceph", cloud="devcloud")}
    status["placement"] = places.get(kind, Placement(store="ceph"))
    return Resource(
        id=f"{kind}-{ULID}",
        kind=kind,
        tenant="bigtop",
        spec=spec,
        status=Status(phase=phase, **status),
        created_at=NOW,
        updated_at=NOW,
        revision=3,
    )


def event(resource: Resource) -> str:
    """Return a status event as it travels in a stream; its id is the revision."""
    told = TimelineEvent(
        type="status",
        resource_id=resource.id,
        at=resource.updated_at,
        revision=resource.revision,
        phase=resource.status.phase,
        resource=resource,
    )
    data = msgspec.json.encode(told).decode()
    return f"event: status\nid: {resource.revision}\ndata: {data}\n\n"
