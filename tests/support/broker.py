"""A virtual host of the test's own on the real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import aiohttp

from shared.contract.identifiers import new_ulid


@dataclass(frozen=True)
class VirtualHost:
    """``url`` is its AMQP URL for the administrator; ``management`` the base of the HTTP API."""

    name: str
    url: str
    management: str
    user: str
    password: str


@asynccontextmanager
async def virtual_host(environment: dict[str, str]) -> AsyncIterator[VirtualHost]:
    """Make a virtual host, and remove it with all that is in it."""
    url = urlsplit(environment["DEVCLOUD_AMQP_URL"])
    host = urlsplit(environment["DEVCLOUD_AMQP_MANAGEMENT_URL"])
    management = f"http://{host.hostname}:{host.port}"
    user, password = url.username or "", url.password or ""
    name = f"test-{new_ulid()}"
    login = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    async with aiohttp.ClientSession(headers=login, raise_for_status=True) as session:
        await session.put(f"{management}/api/vhosts/{name}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await session.put(f"{management}/api/permissions/{name}/{quote(user)}", json=everything)
        try:
            yield VirtualHost(name, f"amqp://{url.netloc}/{name}", management, user, password)
        finally:
            await session.delete(f"{management}/api/vhosts/{name}")
