"""The secrets of one installation, as files that only their owner can read.

``<service>.amqp`` and ``<service>.postgres`` (passwords), ``<broker user>.amqp`` of tenants,
``administrator.amqp`` and ``administrator.postgres`` where these are ours to choose,
``master.key``, ``chap.key``, ``<worker>.sealing.key``. A file that is there is used, never
replaced.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from shared.contract.kinds import KINDS
from shared.runtime.errors import ConfigurationError
from shared.runtime.secrets import SealingKey

MASTER_KEY = "master.key"
CHAP_KEY = "chap.key"
ERLANG_COOKIE = "erlang.cookie"
ADMINISTRATOR = "administrator"


#: The workers to which secrets are sealed.
OPENERS = tuple(sorted({kind.opener for kind in KINDS.values() if kind.secrets}))


def sealing_key(worker: str) -> str:
    """Return what the file with a worker's private key is called."""
    return f"{worker}.sealing.key"


class Credentials:
    """The folder of secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, for its owner only; one that we may only read is used as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.access(self.folder, os.W_OK):
            self.folder.chmod(0o700)

    def amqp_password(self, user: str, *, make: bool = False) -> str:
        """The broker password of a service or of a tenant's broker user."""
        return self._secret(f"{user}.amqp", _password if make else None)

    def database_password(self, service: str, *, make: bool = False) -> str:
        """The database password of a service."""
        return self._secret(f"{service}.postgres", _password if make else None)

    def erlang_cookie(self, *, make: bool = False) -> str:
        """What the nodes of a broker cluster know each other by."""
        return self._secret(ERLANG_COOKIE, _password if make else None)

    def make_keys(self) -> None:
        """Make the keys that are missing."""
        self._secret(MASTER_KEY, _master_key)
        self._secret(CHAP_KEY, _master_key)
        for worker in OPENERS:
            name = sealing_key(worker)
            if not self.path(name).exists():
                self._publish(name, SealingKey.generate().save)

    def sealing_public_key(self, worker: str) -> str:
        """The public half of a worker's key, in base64."""
        return SealingKey.load(self.path(sealing_key(worker))).public_key

    def path(self, name: str) -> Path:
        """Where the secret of this name is kept."""
        return self.folder / name

    def _secret(self, name: str, make: Callable[[], str] | None) -> str:
        if make is not None and not self.path(name).exists():
            self._publish(name, lambda path: _write_private(path, make()))
        try:
            return self.path(name).read_text(encoding="ascii").strip()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {self.path(name)}: {error.strerror}; "
                "run `python -m services.admin install` first"
            ) from error

    def _publish(self, name: str, write: Callable[[Path], None]) -> None:
        """Let the whole file appear at once, or keep the one that somebody else just made."""
        temporary = self.path(f".{name}.{secrets.token_hex(8)}")
        write(temporary)
        try:
            os.link(temporary, self.path(name))
        except FileExistsError:
            return
        finally:
            temporary.unlink()


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _password() -> str:
    """Hexadecimal: needs no quoting in a URL, in SQL or in a shell."""
    return secrets.token_hex(20)


def _master_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")
