"""Keystone tokens: asked of Keystone once a minute at most, and never trusted past their expiry.

Source: Identity API v3, "Validate and show information for token"; a token may validate itself
(policy ``identity:validate_token``, rule ``token_subject``), so no service user is needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import aiohttp
import msgspec

from shared.runtime.errors import BackendUnavailable

#: How long an answer of Keystone is believed, in seconds; a revoked token works no longer.
CACHE_SECONDS = 60
#: How many tokens are remembered.
CACHE_SIZE = 10_000
#: How long Keystone may take to answer, in seconds.
ANSWER_SECONDS = 5
#: The largest token that is passed on; a Fernet token has some 200 characters, a JWS one 600.
MAX_TOKEN = 8192


class _Named(msgspec.Struct):
    name: str = ""
    id: str = ""


class _Token(msgspec.Struct):
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    roles: tuple[_Named, ...] = ()
    project: _Named | None = None


class _Answer(msgspec.Struct):
    token: _Token


@dataclass(frozen=True)
class KeystoneScope:
    """What a valid token says: a project (None: not scoped to one) of a cloud, with these roles."""

    cloud: str
    project_id: str | None
    roles: frozenset[str]


@dataclass(frozen=True)
class _Remembered:
    scope: KeystoneScope | None
    until: float


class Keystone:
    """The Keystones of all clouds, ``urls`` = {cloud: http://host:port/v3}, behind one cache."""

    def __init__(self, urls: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self._urls = {cloud: url.rstrip("/") for cloud, url in urls.items()}
        self._session = session
        self._cache: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[KeystoneScope | None]] = {}
        self._pepper = secrets.token_bytes(32)

    async def scope_of(self, token: str) -> KeystoneScope | None:
        """Return what ``token`` stands for, or None when no Keystone knows it.

        Raises `BackendUnavailable` when none accepts it and one of them can't be asked.
        """
        if not self._urls or not re.fullmatch(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}", token):
            return None
        key = hmac.digest(self._pepper, token.encode(), hashlib.sha256)
        remembered = self._cache.get(key)
        if remembered is not None and remembered.until > time.monotonic():
            self._cache.move_to_end(key)
            return remembered.scope
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask_and_remember(key, token))
            asking.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(asking)

    def _asked(self, key: bytes, done: asyncio.Task[KeystoneScope | None]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # seen, even when all who asked have gone

    async def _ask_and_remember(self, key: bytes, token: str) -> KeystoneScope | None:
        found: tuple[KeystoneScope, float] | None = None
        unreachable: BackendUnavailable | None = None
        for cloud, url in self._urls.items():
            try:
                found = await self._ask(cloud, url, token)
            except BackendUnavailable as error:
                unreachable = error
            if found is not None:
                break
        if found is None and unreachable is not None:
            raise unreachable
        scope, seconds = found or (None, CACHE_SECONDS / 6)
        self._cache[key] = _Remembered(scope, time.monotonic() + min(seconds, CACHE_SECONDS))
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return scope

    async def _ask(self, cloud: str, url: str, token: str) -> tuple[KeystoneScope, float] | None:
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with self._session.get(
                f"{url}/auth/tokens?nocatalog", headers=headers, timeout=timeout
            ) as response:
                if response.status in (400, 401, 403, 404):
                    return None
                if response.status != 200:
                    raise _unavailable(cloud, f"it answered {response.status}")
                answer = msgspec.json.decode(await response.read(), type=_Answer).token
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise _unavailable(cloud, type(error).__name__) from error
        seconds = (answer.expires_at - datetime.now(UTC)).total_seconds()
        project = answer.project.id if answer.project else None
        scope = KeystoneScope(cloud, project, frozenset(role.name for role in answer.roles))
        return (scope, seconds) if seconds > 0 else None


def _unavailable(cloud: str, why: str) -> BackendUnavailable:
    return BackendUnavailable(f"Keystone of cloud {cloud} can't be asked: {why}", retry_after=5)
