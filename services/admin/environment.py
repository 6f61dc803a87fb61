"""What a service has to be started with: where its broker and database are, and its secrets."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from services.admin.access import (
    ACCESS,
    CHAP_KEY,
    FRONT_DOOR_USER,
    MASTER_KEY,
    SEALING_KEY,
    SEALING_PUBLIC_KEYS,
    broker_user,
)
from services.admin.credentials import CHAP_KEY as CHAP_KEY_FILE
from services.admin.credentials import MASTER_KEY as MASTER_KEY_FILE
from services.admin.credentials import OPENERS, Credentials, sealing_key
from services.admin.database import service_dsn
from services.admin.settings import AdminSettings
from shared.runtime.errors import ConfigurationError


def environment_of(service: str, settings: AdminSettings) -> dict[str, str]:
    """The environment variables that the admin step knows of ``service``; {name: value}.

    Contains passwords. What only the operator knows (installation id, ports, clouds) is not in
    it. Raises `ConfigurationError` for an unknown service, or before ``install`` was run.
    """
    if service not in ACCESS:
        raise ConfigurationError(f"no service {service!r}; there are {', '.join(ACCESS)}")
    access, credentials = ACCESS[service], Credentials(settings.credentials_dir)
    user = broker_user(service, settings.role_suffix)
    found = {"COLOBUS_AMQP_URLS": amqp_urls(settings, user, credentials.amqp_password(service))}
    if access.schema:
        found["COLOBUS_DATABASE_DSN"] = service_dsn(settings, credentials, service)
    if settings.tenants_file is not None:
        found["COLOBUS_TENANTS_FILE"] = str(settings.tenants_file.absolute())
    if settings.amqp_ca_file is not None:
        found["COLOBUS_AMQP_CA_FILE"] = str(settings.amqp_ca_file.absolute())
    known = {
        MASTER_KEY: str(credentials.path(MASTER_KEY_FILE).absolute()),
        CHAP_KEY: str(credentials.path(CHAP_KEY_FILE).absolute()),
        SEALING_KEY: str(credentials.path(sealing_key(service)).absolute()),
        SEALING_PUBLIC_KEYS: ",".join(
            f"{worker}={credentials.sealing_public_key(worker)}" for worker in OPENERS
        ),
        FRONT_DOOR_USER: broker_user("front_door", settings.role_suffix),
    }
    return found | {name: known[name] for name in access.settings}


def amqp_urls(settings: AdminSettings, user: str, password: str) -> str:
    """The brokers' URLs for another user than the administrator, separated by commas."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    urls = [urlsplit(url) for url in settings.admin_amqp_url]
    return ",".join(
        urlunsplit(url._replace(netloc=f"{login}@{url.netloc.rpartition('@')[2]}")) for url in urls
    )
