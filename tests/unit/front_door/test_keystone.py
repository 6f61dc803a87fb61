"""Keystone's answers are believed for a minute at most; its outages are 503, never 401.

The real Keystone is asked in the end-to-end tests; here are its outages and expiries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.front_door import keystone as module
from services.front_door.keystone import Keystone, KeystoneScope
from shared.runtime.errors import BackendUnavailable
from tests.support.bus import until


@dataclass
class Shaped:
    """Something of Keystone's shape, whose answers a test chooses."""

    asked: int = 0
    status: int = 200
    lifetime: float = 3600
    body: Any = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """GET /v3/auth/tokens."""
        self.asked += 1
        assert request.headers["X-Auth-Token"] == request.headers["X-Subject-Token"]
        await self.gate.wait()
        expires = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        token = {
            "expires_at": expires.isoformat().replace("+00:00", "Z"),
            "project": {"id": "p1", "name": "bigtop"},
            "roles": [{"id": "r", "name": "member"}, {"id": "s", "name": "reader"}],
        }
        return web.json_response(self.body or {"token": token}, status=self.status)


@pytest.fixture
def shaped() -> Shaped:
    """An open gate unless a test closes it."""
    made = Shaped()
    made.gate.set()
    return made


@pytest.fixture
async def keystone(shaped: Shaped) -> AsyncIterator[Keystone]:
    """Our side of it."""
    app = web.Application()
    app.router.add_get("/v3/auth/tokens", shaped.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Keystone({"devcloud": str(server.make_url("/v3/"))}, session)


async def test_a_token_is_asked_about_once_a_minute(keystone: Keystone, shaped: Shaped) -> None:
    """Whoever comes within it is answered from memory, also when all come at once."""
    scopes = await asyncio.gather(*(keystone.scope_of("token") for _ in range(10)))
    assert set(scopes) == {KeystoneScope("devcloud", "p1", frozenset({"member", "reader"}))}
    assert shaped.asked == 1
    await keystone.scope_of("another")
    assert shaped.asked == 2


async def test_no_token_is_believed_beyond_its_expiry(keystone: Keystone, shaped: Shaped) -> None:
    """However short its life is."""
    shaped.lifetime = -1
    assert await keystone.scope_of("token") is None
    shaped.lifetime = 0.2
    assert await keystone.scope_of("short") is not None
    shaped.status = 401

    async def forgotten() -> bool:
        return await keystone.scope_of("short") is None

    await until(forgotten)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_keystone_does_not_know_is_not_valid(
    keystone: Keystone, shaped: Shaped, status: int
) -> None:
    """None, remembered for a little while."""
    shaped.status = status
    assert await keystone.scope_of("token") is None
    assert await keystone.scope_of("token") is None
    assert shaped.asked == 1


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (503, None), (429, None), (200, {"x": 1})]
)
async def test_an_outage_is_not_an_answer(
    keystone: Keystone, shaped: Shaped, status: int, body: Any
) -> None:
    """Nobody is refused for it, nothing is remembered, and it says when to come again."""
    shaped.status, shaped.body = status, body
    with pytest.raises(BackendUnavailable) as raised:
        await keystone.scope_of("token")
    assert (raised.value.status, raised.value.retry_after) == (503, 5)
    shaped.status, shaped.body = 200, None
    assert await keystone.scope_of("token") is not None


async def test_a_keystone_that_is_not_there_is_an_outage() -> None:
    """Connection refused; and with another cloud that knows the token, it doesn't matter."""
    async with aiohttp.ClientSession() as session:
        keystone = Keystone({"gone": "http://127.0.0.1:1/v3"}, session)
        with pytest.raises(BackendUnavailable):
            await keystone.scope_of("token")


async def test_memory_is_bounded(
    keystone: Keystone, monkeypatch: pytest.MonkeyPatch, shaped: Shaped
) -> None:
    """The tokens that were used longest ago are forgotten."""
    monkeypatch.setattr(module, "CACHE_SIZE", 2)
    for token in ("a", "b", "a", "c", "a", "b"):
        await keystone.scope_of(token)
    assert shaped.asked == 4  # a, b, c, and b again


async def test_absurd_tokens_are_not_passed_on(keystone: Keystone, shaped: Shaped) -> None:
    """Keystone isn't bothered with what can't be a token."""
    for token in ("", "a b", "ü", "x" * 9000, "a\nb"):
        assert await keystone.scope_of(token) is None
    assert shaped.asked == 0
