"""The whole step: secrets, broker, database; and the comparison of what is there with it."""

from __future__ import annotations

import asyncio

import structlog

from services.admin.broker import (
    install_broker,
    missing,
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
    results = await asyncio.gather(
        _install_broker(settings, credentials),
        asyncio.to_thread(install_database, settings, credentials),
        return_exceptions=True,  # a thread can't be cancelled: nothing goes on behind our back
    )
    for error in results:
        if error is not None:
            raise error
    _log.info("installed", vhost=virtual_host(settings))


async def check(settings: AdminSettings) -> list[str]:
    """Return a line for each thing that is not as `install` would leave it."""
    credentials = Credentials(settings.credentials_dir)
    wanted = list(users(settings, credentials, make=False))
    async with open_management(settings) as management:
        groups = await missing(management, virtual_host(settings), wanted)
    faults = [f"not on the broker as declared: {declared}" for g in groups for declared in g]
    return faults + await asyncio.to_thread(database_faults, settings, credentials)


async def _install_broker(settings: AdminSettings, credentials: Credentials) -> None:
    wanted = list(users(settings, credentials, make=True))
    async with open_management(settings) as management:
        await install_broker(management, virtual_host(settings), wanted)
