from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest

from services.admin.access import ACCESS, broker_user, database_role, schema_owner
from services.admin.install import install
from services.admin.settings import AdminSettings
from shared.contract.identifiers import new_ulid
from shared.runtime.settings import Secret
from tests.support.broker import VirtualHost, virtual_host
from tests.support.database import fresh_database

TENANTS = """
tenants:
  bigtop: {{projects: {{devcloud: p1}}, broker_user: {bigtop}}}
  zuul: {{projects: {{devcloud: p2}}, broker_user: {zuul}}}
  silent: {{projects: {{devcloud: p3}}}}
"""


@asynccontextmanager
async def _corner(vhost: VirtualHost, dsn: str, folder: Path) -> AsyncIterator[AdminSettings]:
    """Settings of an installation of its own; its users and roles go afterwards."""
    suffix = new_ulid()
    names = {tenant: f"{tenant}-{suffix}" for tenant in ("bigtop", "zuul")}
    tenants = folder / "tenants.yaml"
    tenants.write_text(TENANTS.format(**names))
    yield AdminSettings(
        admin_amqp_url=(Secret(vhost.url),),
        admin_amqp_management_url=Secret(vhost.management),
        admin_database_dsn=Secret(dsn),
        credentials_dir=folder / "credentials",
        tenants_file=tenants,
        role_suffix=suffix,
    )
    users = [broker_user(service, suffix) for service in ACCESS]
    await _remove_users(vhost, [*users, *names.values()])
    roles = [role(service, suffix) for service in ACCESS for role in (database_role, schema_owner)]
    await _remove_roles(dsn, roles)


@pytest.fixture
async def settings(
    vhost: VirtualHost, database_dsn: str, tmp_path: Path
) -> AsyncIterator[AdminSettings]:
    """Settings of an installation of this test's own, with nothing in it yet."""
    async with _corner(vhost, database_dsn, tmp_path) as made:
        yield made


@pytest.fixture
async def installed(settings: AdminSettings) -> AdminSettings:
    """The same, installed."""
    await install(settings)
    return settings


@pytest.fixture(scope="module")
def installation(
    basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdminSettings]:
    """An installation for all tests of a module that only look at who may do what."""
    stack = AsyncExitStack()

    async def enter() -> AdminSettings:
        vhost = await stack.enter_async_context(virtual_host(basics))
        dsn = await stack.enter_async_context(fresh_database(basics))
        folder = tmp_path_factory.mktemp("installation")
        made = await stack.enter_async_context(_corner(vhost, dsn, folder))
        await install(made)
        return made

    with asyncio.Runner() as runner:
        yield runner.run(enter())
        runner.run(stack.aclose())


async def _remove_users(vhost: VirtualHost, users: list[str]) -> None:
    login = aiohttp.encode_basic_auth(vhost.user, vhost.password)
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
        for user in users:
            await session.delete(f"{vhost.management}/api/users/{quote(user)}")


async def _remove_roles(dsn: str, roles: list[str]) -> None:
    connection = await asyncpg.connect(dsn)
    for role in roles:
        if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f'DROP OWNED BY "{role}" CASCADE')
            await connection.execute(f'DROP ROLE "{role}"')
    await connection.close()
