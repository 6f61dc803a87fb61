"""The administrators' own passwords, where a URL names a user and leaves the password to us."""

from __future__ import annotations

import msgspec

from services.admin.credentials import ADMINISTRATOR, Credentials
from services.admin.settings import AdminSettings
from services.admin.urls import has_login, with_login
from shared.runtime.settings import Secret


def complete(settings: AdminSettings, *, make: bool = False) -> AdminSettings:
    """Fill in the passwords that the URLs leave out; ``make`` those that are missing.

    Raises `ConfigurationError` when one was never made.
    """
    credentials = Credentials(settings.credentials_dir)

    def amqp(url: Secret) -> Secret:
        if has_login(url):
            return url
        return with_login(url, password=credentials.amqp_password(ADMINISTRATOR, make=make))

    database = settings.admin_database_dsn
    if not has_login(database):
        password = credentials.database_password(ADMINISTRATOR, make=make)
        database = with_login(database, password=password)
    return msgspec.structs.replace(
        settings,
        admin_amqp_url=tuple(amqp(url) for url in settings.admin_amqp_url),
        admin_database_dsn=database,
    )
