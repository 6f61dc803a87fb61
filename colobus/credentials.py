"""Who is asking: a static bearer token, a Keystone token, or a Keystone user with a password.

Source of the Keystone request: Identity API v3, "Password authentication with scoped
authorization" and "Authenticating with an application credential".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import aiohttp

from colobus.errors import CredentialsError, KeystoneUnavailable

#: A token is renewed this long before it ends.
MARGIN = timedelta(minutes=2)
TIMEOUT = aiohttp.ClientTimeout(total=30)


class Credentials(Protocol):
    """What the client asks before each request."""

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """Return the headers that say who asks.

        Raises `CredentialsError`, or `KeystoneUnavailable` when it may work later.
        """

    def refused(self) -> bool:
        """Note that the last headers were refused (401); tell whether new ones can be had."""


@dataclass(frozen=True)
class BearerToken:
    """A static token of this Colobus installation."""

    token: str = field(repr=False)

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """Return the ``Authorization`` header (RFC 6750 §2.1)."""
        return {"Authorization": f"Bearer {self.token}"}

    def refused(self) -> bool:
        """There is only this one."""
        return False


@dataclass(frozen=True)
class KeystoneToken:
    """A Keystone token that somebody else has fetched."""

    token: str = field(repr=False)

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """Return the ``X-Auth-Token`` header."""
        return {"X-Auth-Token": self.token}

    def refused(self) -> bool:
        """There is only this one."""
        return False


@dataclass
class KeystoneLogin:
    """Fetches a token when one is needed, and a new one shortly before the old one ends.

    ``auth`` is the ``auth`` object of ``POST /v3/auth/tokens``.
    """

    auth_url: str
    auth: dict[str, Any] = field(repr=False)
    _token: str | None = field(default=None, repr=False)
    _expires_at: datetime = field(default=datetime.min.replace(tzinfo=UTC), repr=False)

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """Return the ``X-Auth-Token`` header, with a token fetched now if need be."""
        if self._token is None or datetime.now(UTC) > self._expires_at - MARGIN:
            self._token, self._expires_at = await self._fetch(session)
        return {"X-Auth-Token": self._token}

    def refused(self) -> bool:
        """Forget the token: it may have been revoked. A fresh one that is refused stays refused."""
        had_one, self._token = self._token is not None, None
        return had_one

    async def _fetch(self, session: aiohttp.ClientSession) -> tuple[str, datetime]:
        url = f"{self.auth_url.rstrip('/')}/auth/tokens"
        try:
            async with session.post(url, json={"auth": self.auth}, timeout=TIMEOUT) as response:
                body = await response.text()
                if response.status >= 500:
                    raise KeystoneUnavailable(f"Keystone at {url} answered {response.status}")
                if response.status != 201:
                    raise CredentialsError(f"Keystone answered {response.status}: {body[:300]}")
                token = (await response.json())["token"]
                expires_at = datetime.fromisoformat(token["expires_at"])
                return response.headers["X-Subject-Token"], expires_at
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KeystoneUnavailable(f"Keystone at {url} does not answer: {error}") from error


def keystone_login(auth: dict[str, str]) -> KeystoneLogin:
    """Return the login that clouds.yaml's ``auth`` (or OS_* in lower case) describes.

    Raises `CredentialsError` naming what is missing.
    """
    by_application = bool(auth.get("application_credential_id"))
    needed = ["auth_url"]
    needed += ["application_credential_secret"] if by_application else ["username", "password"]
    missing = [name for name in needed if not auth.get(name)]
    if not by_application and not (auth.get("project_id") or auth.get("project_name")):
        missing.append("project_name")
    if missing:
        raise CredentialsError(f"Keystone credentials lack {', '.join(missing)}")
    url = auth["auth_url"].rstrip("/")
    body = _application(auth) if by_application else _password(auth)
    return KeystoneLogin(url if url.endswith("/v3") else f"{url}/v3", body)


def _application(auth: dict[str, str]) -> dict[str, Any]:
    credential = {
        "id": auth["application_credential_id"],
        "secret": auth["application_credential_secret"],
    }
    methods = ["application_credential"]
    return {"identity": {"methods": methods, "application_credential": credential}}


def _password(auth: dict[str, str]) -> dict[str, Any]:
    user = {
        "name": auth["username"],
        "password": auth["password"],
        "domain": _domain(auth, "user"),
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"identity": identity, "scope": {"project": _project(auth)}}


def _project(auth: dict[str, str]) -> dict[str, Any]:
    if auth.get("project_id"):
        return {"id": auth["project_id"]}
    return {"name": auth["project_name"], "domain": _domain(auth, "project")}


def _domain(auth: dict[str, str], whose: str) -> dict[str, str]:
    for name in (f"{whose}_domain", "domain", "default_domain"):
        if auth.get(f"{name}_id"):
            return {"id": auth[f"{name}_id"]}
        if auth.get(f"{name}_name"):
            return {"name": auth[f"{name}_name"]}
    return {"id": "default"}
