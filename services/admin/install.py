"""The whole step: secrets, broker, database; and the comparison of what is there with it."""

from __future__ import annotations

import asyncio

import structlog

from services.admin.broker import (
    broker_faults,
    install_topology,
    install_user,
    install_virtual_host,
    open_management,
    users,
    virtual_host,
)
from services.admin.credentials import Credentials
from services.admin.database import database_faults, install_database
from services.admin.settings import AdminSettings

_log = structlog.get_logger(__name__)


async def install(settings: AdminSettings) -> None:
    """Make all that is missing; running it again, or after a crash anywhere in it, is harmless.

    Raises `ConfigurationError` when something is there in another form, `BackendUnavailable`
    when broker or database can't be reached.
    """
    credentials = Credentials(settings.credentials_dir)
    credentials.prepare()
    credentials.make_keys()
    await asyncio.gather(
        _install_broker(settings, credentials),
        asyncio.to_thread(install_database, settings, credentials),
    )
    _log.info("installed", vhost=virtual_host(settings))


async def check(settings: AdminSettings) -> list[str]:
    """Return a line for each thing that is not as `install` would leave it."""
    credentials = Credentials(settings.credentials_dir)
    wanted = list(users(settings, credentials, make=False))
    async with open_management(settings) as management:
        faults = await broker_faults(management, virtual_host(settings), wanted)
    return faults + await asyncio.to_thread(database_faults, settings, credentials)


async def _install_broker(settings: AdminSettings, credentials: Credentials) -> None:
    vhost = virtual_host(settings)
    wanted = list(users(settings, credentials, make=True))
    async with open_management(settings) as management:
        await install_virtual_host(management, vhost)
        await install_topology(management, vhost)
        for user in wanted:
            await install_user(management, vhost, user)
