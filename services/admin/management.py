"""RabbitMQ's HTTP API, as little of it as the admin step needs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from shared.runtime.errors import BackendUnavailable, ConfigurationError
from shared.runtime.tls import Trust

_CONNECTIONS = 8
#: Whom the system trusts.
_SYSTEMS = Trust()
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class Management:
    """A session of an administrator; every path part is quoted here."""

    def __init__(self, url: str, user: str, password: str, trust: Trust = _SYSTEMS) -> None:
        parts = urlsplit(url)
        user = unquote(parts.username or "") or user
        password = unquote(parts.password or "") or password
        netloc = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit(parts._replace(netloc=netloc)).rstrip("/") + "/api/"
        self._session = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(user, password)},
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=trust.context()),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, *path: str) -> Any:
        """Return the object, or None when there is none."""
        return await self._call("GET", path)

    async def put(self, *path: str, body: Mapping[str, Any]) -> None:
        """Make or declare; raises `ConfigurationError` when it conflicts with what is there."""
        await self._call("PUT", path, body)

    async def make(self, method: str, path: tuple[str, ...], body: Mapping[str, Any]) -> None:
        """Make by PUT or POST; raises `ConfigurationError` as `put` does."""
        await self._call(method, path, body)

    async def _call(
        self, method: str, path: tuple[str, ...], body: Mapping[str, Any] | None = None
    ) -> Any:
        url = self._base + "/".join(quote(part, safe="") for part in path)
        what = f"{method} {'/'.join(path)}"
        try:
            async with self._session.request(method, URL(url, encoded=True), json=body) as answer:
                if answer.status == 404 and method == "GET":
                    return None
                if answer.status >= 400:
                    raise _refusal(what, answer.status, await answer.text())
                return await answer.json() if method == "GET" else None
        except aiohttp.ClientConnectorCertificateError as error:
            raise ConfigurationError(f"RabbitMQ's HTTP API: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BackendUnavailable(f"RabbitMQ's HTTP API: {what}: {error}") from error


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's salted SHA-256 form, so that no password goes over the wire in the clear.

    Source: rabbitmq.com/docs/passwords. ``salt``: 4 bytes.
    """
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def is_password(password: str, hashed: str) -> bool:
    """Tell whether ``hashed``, as the broker shows it, is of this password."""
    return hmac.compare_digest(password_hash(password, base64.b64decode(hashed)[:4]), hashed)


def _refusal(what: str, status: int, text: str) -> Exception:
    if status >= 500:
        return BackendUnavailable(f"RabbitMQ's HTTP API: {what}: {status} {text[:500]}")
    return ConfigurationError(f"RabbitMQ refuses {what}: {status} {text[:500]}")
