"""Settings of the admin step, from the environment (``COLOBUS_…``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.runtime.settings import Secret


class AdminSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are on broker and database, and where the services' secrets are kept.

    ``admin_amqp_url``: an administrator, and the virtual host in the path (made when missing);
    for a cluster, the URLs of all its nodes, separated by commas. ``admin_amqp_management_url``:
    base of RabbitMQ's HTTP API, with or without credentials (default: those of the AMQP URL).
    ``admin_database_dsn``: a superuser, and the database in the path (made when missing).
    ``credentials_dir``: a folder for secrets, made with mode 0700. A URL that names a user without
    a password gets the one that is kept there (``export`` makes it).
    ``amqp_ca_file`` is who vouches for brokers at ``amqps://`` and their HTTP API at ``https://``
    (default: whom the system trusts), ``amqp_cert_file`` and ``amqp_key_file`` what we show them.
    ``role_suffix`` keeps apart several installations on one server: broker users and database
    roles are known server-wide, and get ``-<suffix>`` or ``_<suffix>`` at their end. (The
    tenants' broker users are named in the tenants file and stay as they are.)
    """

    admin_amqp_url: Annotated[tuple[Secret, ...], Meta(min_length=1)]
    admin_amqp_management_url: Secret
    admin_database_dsn: Secret
    credentials_dir: Path
    tenants_file: Path | None = None
    amqp_ca_file: Path | None = None
    amqp_cert_file: Path | None = None
    amqp_key_file: Path | None = None
    role_suffix: Annotated[
        str,
        Meta(pattern=r"^([a-z0-9]{1,32})?$", description="up to 32 lower-case letters and digits"),
    ] = ""
