"""A server that plays a recording back: each call has to be the next one that was recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from services.iscsi_worker.backend import Export, Store
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from services.iscsi_worker.stores_file import CephIscsiAccess, CephIscsiPortal
from tests.support.exchanges import Exchange, Moment, Occurrence, Recording, masked
from tests.unit.iscsi_worker.ceph_iscsi import LOGIN
from tests.unit.iscsi_worker.scene import Stage, fake_store

#: What the gateway of the recordings is called, and where it has initiators log in.
GATEWAY, PORTAL = "gateway-1.devcloud.test", "192.0.2.1:3260"


@dataclass
class Playback(Stage):
    """``moments`` are still to come; ``faults`` tells what came instead of one of them."""

    moments: list[Moment]
    access: CephIscsiAccess = field(init=False)
    api: CephIscsiApi = field(init=False)
    faults: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """For one command."""
        return fake_store(self.api, self.access)

    @asynccontextmanager
    async def logged_in(self, export: Export, alias: str = "") -> AsyncIterator[None]:
        """As it was when it was recorded."""
        for what in ("logged in", "logged out"):
            assert self._next() == Occurrence(what, export.initiator_iqn, alias)
            if what == "logged in":
                yield

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the real one did, if this is what it was asked then."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        recorded, path = self._next(), request.match_info["path"]
        asked = (request.method, path, masked(form))
        if not isinstance(recorded, Exchange) or asked != _asked(recorded):
            self.faults.append(f"{asked} where {recorded} was recorded")
            return web.Response(status=500)
        assert request.headers["Authorization"] == LOGIN
        return web.json_response(recorded.answer, status=recorded.status)

    def _next(self) -> Moment | None:
        return self.moments.pop(0) if self.moments else None


def _asked(exchange: Exchange) -> tuple[str, str, Mapping[str, str]]:
    return exchange.method, exchange.path, exchange.form


@asynccontextmanager
async def playback(recording: Recording, folder: Path) -> AsyncIterator[Playback]:
    """Play it back; in the end all of it has to have been asked for, and nothing else."""
    password = folder / "password"
    password.write_text("a-password\n")
    app, made = web.Application(), Playback(list(recording.moments))
    app.router.add_route("*", "/api/{path:.+}", made.answer)
    async with TestServer(app) as server:
        made.access = CephIscsiAccess(
            urls=(f"http://{server.host}:{server.port}",),
            username="admin",
            password_file=password,
            portals=(CephIscsiPortal(gateway=GATEWAY, address=PORTAL),),
        )
        made.api = CephIscsiApi("rack", made.access, seconds=5)
        yield made
        await made.api.close()
        assert made.faults == []
        assert made.moments == []
