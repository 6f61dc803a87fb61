"""Calls to ceph-iscsi's REST API (rbd-target-api), and what its answers mean.

Any gateway's API speaks for all of them. Sources: rbd-target-api and gwcli/utils.py of 3.5, and
what the real one answered (its 500s are Python's `KeyError` for a name that it doesn't know).
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from services.iscsi_worker.metrics import GATEWAY_CALLS, GATEWAY_SECONDS
from services.iscsi_worker.stores_file import CephIscsiAccess
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BackendUnavailable,
    ColobusError,
    ConfigurationError,
    OutcomeUnknown,
    TemporaryError,
)
from shared.runtime.settings import Secret
from shared.worker.errors import Conflict, NotFound, Refused

_MAX_DETAIL = 500
_UNKNOWN_NAME = re.compile(r"(?:^|^failed on \S+\. )Unhandled exception: '[^']*'$")
_PARTLY = re.compile(r"\bfailed on \S+, applied to |aborted ")
#: Who answers so is well himself: it is about the hosts that he has asked in turn.
_OF_OTHERS = re.compile(rf"gateway\(s\) unavailable|{_PARTLY.pattern}")
#: The host that was asked, or another one, is not ready for it: the operator's.
_NOT_READY = re.compile(r"cannot be used to perform|gateways must exist|gateways? defined", re.I)
_FULL = re.compile(r"Disk limit of \d+ reached")
_GONE = re.compile(r"does not exist|not found|not defined|nothing to delete|not mapped", re.I)
_LOGGED_IN = re.compile(r"is logged in to|unable to delete|allocated to", re.I)
_STANDING = re.compile(
    r"already (exists|defined|mapped|in use)|is already|must be unmapped|must be larger", re.I
)

#: There was no connection to send a request by. The second: nobody answered, in time.
_UNREACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class CephIscsiApi:
    """One installation of ceph-iscsi. Form-encoded, basic authentication, bounded."""

    def __init__(self, store: str, access: CephIscsiAccess, *, seconds: float) -> None:
        self._store = store
        self._urls = [url.rstrip("/") for url in access.urls]
        self._failed_at = dict.fromkeys(self._urls, 0.0)
        password = _password(access.password_file)
        self._login = Secret(aiohttp.encode_basic_auth(access.username, str(password)))
        self._ca_file = access.ca_file
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def get(self, deadline: Deadline, path: str) -> Any:
        """Return what is there; `NotFound`."""
        return await self._call(deadline, "GET", path, {})

    async def put(self, deadline: Deadline, path: str, **form: str) -> None:
        """Make or change; `Conflict` when it is there, `NotFound`, `Refused`."""
        await self._call(deadline, "PUT", path, form)

    async def delete(self, deadline: Deadline, path: str, **form: str) -> None:
        """Remove; `NotFound` when it is gone, `Conflict` when it is in use."""
        await self._call(deadline, "DELETE", path, form)

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    async def _call(
        self, deadline: Deadline, method: str, path: str, form: Mapping[str, str]
    ) -> Any:
        """Ask the gateway that has not failed for longest.

        One that can't be reached has heard nothing, so the next one is asked at once; so it is
        where a question failed. A change that failed may have been made, which is for its next
        attempt to see: that asks another gateway.
        """
        error = BackendUnavailable(f"No gateway of store {self._store} can be reached.")
        for url in sorted(self._urls, key=lambda one: self._failed_at[one]):
            deadline.check()
            try:
                return await self._ask(url, method, path, form)
            except _UNREACHED as unreached:
                self._failed_at[url] = time.monotonic()
                error.__cause__ = unreached
            except BackendUnavailable as failed:
                if not _OF_OTHERS.search(failed.detail):
                    self._failed_at[url] = time.monotonic()
                if method != "GET":
                    raise
                error = failed
        raise error

    async def _ask(self, url: str, method: str, path: str, form: Mapping[str, str]) -> Any:
        started, outcome = time.monotonic(), "failed"
        try:
            async with self._http().request(
                method, f"{url}/api/{path}", data=dict(form) or None
            ) as response:
                body = await response.text()
                if response.status != 200:
                    raise fault_of(response.status, _message(body), changes=method != "GET")
                outcome = "done"
                return await response.json(content_type=None)
        except _UNREACHED:
            raise
        except (aiohttp.ClientError, TimeoutError, ValueError) as broken:
            kind = BackendUnavailable if method == "GET" else OutcomeUnknown
            # Without the cause: the request that it names has a secret in it.
            name = type(broken).__name__
            raise kind(f"Store {self._store}: the gateway's answer failed: {name}") from None
        finally:
            GATEWAY_CALLS.labels(self._store, outcome).inc()
            GATEWAY_SECONDS.labels(self._store).observe(time.monotonic() - started)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            trust = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True
            self._session = aiohttp.ClientSession(
                headers={"Authorization": self._login},
                timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=self._seconds / 3),
                connector=aiohttp.TCPConnector(ssl=trust, limit=8),
            )
        return self._session


def fault_of(status: int, message: str, *, changes: bool) -> ColobusError:
    """Return our error for an answer that is none of success. Pure."""
    detail = message[:_MAX_DETAIL] or f"HTTP status {status}"
    if status in (401, 403):
        return TemporaryError(f"ceph-iscsi: {detail}", reason=Reason.BACKEND_REFUSED)
    if status == 503 or _PARTLY.search(detail):
        return BackendUnavailable(detail)
    if status == 404 or (status == 500 and _UNKNOWN_NAME.match(detail)):
        return NotFound(detail)
    if status == 500 and detail.startswith("Invalid iqn"):
        return Refused(detail)
    if status >= 500:
        return OutcomeUnknown(detail) if changes else BackendUnavailable(detail)
    if _NOT_READY.search(detail):
        return BackendUnavailable(detail)
    if _FULL.search(detail):
        return TemporaryError(detail, reason=Reason.NO_CAPACITY)
    if _LOGGED_IN.search(detail):
        return Conflict(detail, code="active")
    if _STANDING.search(detail):
        return Conflict(detail, code="exists")
    return NotFound(detail) if _GONE.search(detail) else Refused(detail)


def _message(body: str) -> str:
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body.strip()


def _password(path: Path) -> Secret:
    try:
        return Secret(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
