"""Secrets in the form that containers take: a folder per container with only what it may see.

Needs neither broker nor database: passwords are made here, and ``install`` later gives them to
users and roles. Container engines hand a file on with its owner and mode, and the user in a
container is another one than the folder's; so files are readable for all, in a folder that only
its owner can enter::

    FOLDER              0700
      credentials/      all there is, kept (COLOBUS_CREDENTIALS_DIR)
      admin/            the same, for the admin step
      broker/           administrator.conf, erlang_cookie
      database/         password
      front_door/ …     amqp_urls, database_dsn, …: a file for each variable COLOBUS_…_FILE
      notifications_urls, tls/, ceph/   the operator's: made empty, as an engine wants to have them
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from services.admin.access import ACCESS
from services.admin.administrators import complete
from services.admin.broker import users
from services.admin.credentials import Credentials
from services.admin.database import owners
from services.admin.environment import environment_of
from services.admin.settings import AdminSettings

_PREFIX, _FILE = "COLOBUS_", "_FILE"
_READABLE, _OPEN_FOLDER, _CLOSED_FOLDER = 0o444, 0o755, 0o700
#: What the operator may fill: URLs with passwords for the vm_worker; files for TLS, and for Ceph
#: (ceph.conf and a keyring for the iscsi_worker).
_NOTIFICATIONS, _FOLDERS, _EDITABLE = "notifications_urls", ("tls", "ceph"), 0o644


def export(settings: AdminSettings, folder: Path) -> None:
    """Make the secrets that are missing and write all of them below ``folder``. Idempotent."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_CLOSED_FOLDER)
    credentials = Credentials(settings.credentials_dir)
    credentials.prepare()
    credentials.make_keys()
    for service in owners():
        credentials.database_password(service, make=True)
    list(users(settings, credentials, make=True))
    cookie = credentials.erlang_cookie(make=True)
    completed = complete(settings, make=True)
    _write(folder / "broker", {"administrator.conf": _broker(completed), "erlang_cookie": cookie})
    password = unquote(urlsplit(completed.admin_database_dsn).password or "")
    _write(folder / "database", {"password": password})
    # Services are told nothing of the tenants file here: it is not ours, and no secret.
    without_tenants = msgspec.structs.replace(completed, tenants_file=None)
    for service in ACCESS:
        _write(folder / service, _as_files(environment_of(service, without_tenants)))
    kept = [path for path in credentials.folder.iterdir() if not path.name.startswith(".")]
    _write(folder / "admin", {path.name: path.read_text(encoding="ascii") for path in kept})
    _make_room(folder)


def _as_files(variables: Mapping[str, str]) -> dict[str, str]:
    """Return {file's name: content}; where a variable names a file, that file's content."""
    files = {}
    for variable, value in variables.items():
        name = variable.removeprefix(_PREFIX)
        content = Path(value).read_text(encoding="ascii") if name.endswith(_FILE) else value
        files[name.removesuffix(_FILE).lower()] = content
    return files


def _make_room(folder: Path) -> None:
    """Make the operator's optional parts where they are missing; what is there stays as it is."""
    notifications = folder / _NOTIFICATIONS
    if not notifications.exists():
        notifications.touch()
        notifications.chmod(_EDITABLE)
    for room in (folder / name for name in _FOLDERS):
        if not room.exists():
            room.mkdir()
            room.chmod(_OPEN_FOLDER)


def _broker(settings: AdminSettings) -> str:
    """RabbitMQ's own settings (conf.d): its first user, who administers, and the virtual host."""
    url = urlsplit(settings.admin_amqp_url[0])
    lines = {
        "default_user": unquote(url.username or "guest"),
        "default_pass": unquote(url.password or "guest"),
        "default_vhost": unquote(url.path[1:]) or "/",
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files whole or not at all; a container never sees half of one."""
    folder.mkdir(exist_ok=True)
    folder.chmod(_OPEN_FOLDER)
    for name, content in files.items():
        temporary = folder / f".{name}.{secrets.token_hex(8)}"
        temporary.write_text(content.strip() + "\n", encoding="ascii")
        temporary.chmod(_READABLE)
        temporary.replace(folder / name)
