"""One HTTP request, made safe to repeat, repeated while that may help.

Every request of the client may be sent twice: reads by nature, all others because they carry an
Idempotency-Key. So a lost connection, a 429 and a 502-504 are tried again, after what
Retry-After says (RFC 9110 §10.2.3, delay in seconds) or else a growing pause with jitter.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
import msgspec

from colobus.config import find_trust
from colobus.credentials import Credentials
from colobus.errors import ApiError, ColobusError, UnexpectedAnswer, Unreachable, api_error
from colobus.models import Problem

#: The query string, names repeated where they have several values.
Params = Mapping[str, str] | Sequence[tuple[str, str]]
LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
#: Another try would be answered with the same certificate.
UNTRUSTED = (aiohttp.ClientConnectorCertificateError,)
#: Statuses that say "later" of themselves; others may say so in their problem's ``retryable``.
LATER = frozenset({429, 502, 503, 504})
#: Statuses whose ``retryable`` is about this request rather than about another one.
MAYBE_LATER = frozenset({408, 409, 425})
T = TypeVar("T")
CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
#: Nothing else may get from the environment into a header.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}(-[0-9a-f]{32})(-[0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True)
class Answer:
    """A successful answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decoded(self, wanted: type[T]) -> T:
        """Return the body as ``wanted``; raises `UnexpectedAnswer` when it isn't one."""
        return decoded(self.body, wanted)


def decoded(body: bytes | str, wanted: type[T]) -> T:
    """Decode JSON as ``wanted``; raises `UnexpectedAnswer` when it isn't one."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(f"no {wanted.__name__} in the answer: {error}") from error


@dataclass
class Transport:
    """``retry_for`` and ``timeout`` are seconds: of all tries together, and of each one.

    ``on_retry`` is told of every error that is followed by another try. ``traceparent`` (W3C Trace
    Context) makes all requests part of the caller's trace; by default the environment's, as
    OpenTelemetry's "Environment Variables as Context Propagation Carriers" has it.
    """

    url: str
    credentials: Credentials
    retry_for: float = 60.0
    timeout: float = 30.0
    on_retry: Callable[[ColobusError], None] | None = None
    traceparent: str | None = field(default_factory=lambda: os.environ.get("TRACEPARENT"))
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, opened at the first use (it needs a running loop)."""
        if self._session is None or self._session.closed:
            # Connections of streams aren't counted against those of requests.
            connector = aiohttp.TCPConnector(limit=0, ssl=find_trust())
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def retry(self) -> Retry:
        """Return the pauses of a new series of tries."""
        return Retry(self.retry_for, self.on_retry)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Answer:
        """Send until there is an answer that another try won't better.

        What writes gets an Idempotency-Key unless ``headers`` have one. ``wait`` is added to the
        timeout: seconds that the server was asked to hold the answer.
        Raises `ApiError` for its problems, `Unreachable` when none came within ``retry_for``.
        """
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=self.timeout + wait, sock_connect=CONNECT_SECONDS)
        own = {} if method == "GET" else {"Idempotency-Key": str(uuid.uuid4())}
        sent = {**own, **(headers or {})}
        retry = self.retry()
        while True:
            try:
                async with self._send(method, path, data, params, sent, timeout) as response:
                    content = await response.read()
            except Unreachable as error:
                await retry.after(error)
                continue
            except UNTRUSTED as error:
                raise ColobusError(f"{self.url} can't be trusted: {_said(error)}") from error
            except LOST as error:
                await retry.after(Unreachable(f"{self.url} does not answer: {_said(error)}"))
                continue
            except aiohttp.ClientError as error:
                raise ColobusError(f"{self.url} can't be used: {_said(error)}") from error
            if is_success(response.status):
                return Answer(response.status, response.headers, content)
            error_of = problem_error(response, content)
            if not may_pass(error_of):
                raise error_of
            await retry.after(error_of, retry_after(response.headers))

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], *, silence: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a stream once. It counts as lost when nothing comes for ``silence`` seconds."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        async with self._send("GET", path, None, None, headers, timeout) as response:
            if not is_success(response.status):
                raise problem_error(response, await response.read())
            yield response

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        params: Params | None,
        headers: Mapping[str, str] | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send with credentials; a 401 is sent again once, when fresh credentials can be had."""
        for may_renew in (True, False):
            sent = {"Content-Type": "application/json"} if data is not None else {}
            if self.traceparent is not None and _TRACEPARENT.fullmatch(self.traceparent):
                sent["traceparent"] = self.traceparent
            sent |= {**(headers or {}), **await self.credentials.headers(self.session)}
            async with self.session.request(
                method,
                f"{self.url.rstrip('/')}{path}",
                data=data,
                params=params,
                headers=sent,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status == 401 and self.credentials.refused() and may_renew:
                    continue
                yield response
                return


class Retry:
    """The pauses between the tries of one request, and their end."""

    def __init__(
        self, seconds: float, on_retry: Callable[[ColobusError], None] | None = None
    ) -> None:
        self._on_retry = on_retry
        self._ends_at = time.monotonic() + seconds
        self._pause = FIRST_PAUSE

    async def after(self, error: ColobusError, at_least: float | None = None) -> None:
        """Pause, ``at_least`` so many seconds; raise ``error`` if the time would be over then."""
        pause = random.uniform(0.5, 1.0) * self._pause  # noqa: S311 - jitter
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        pause = max(pause, at_least or 0.0)
        if time.monotonic() + pause > self._ends_at:
            raise error
        if self._on_retry is not None:
            self._on_retry(error)
        await asyncio.sleep(pause)


def is_success(status: int) -> bool:
    """Tell whether an answer is what was asked for; 304 is, when a condition was sent."""
    return status < 300 or status == 304


def may_pass(error: ApiError) -> bool:
    """Tell whether the same request may succeed a little later."""
    if error.status in LATER:
        return True
    return error.status in MAYBE_LATER and error.problem.retryable


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for; its form as a date is not used by Colobus."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isascii() and value.isdigit() else None


def problem_error(response: aiohttp.ClientResponse, content: bytes) -> ApiError:
    """Return the error of an answer; what is no problem document (a proxy's page) becomes one."""
    try:
        problem = msgspec.json.decode(content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = content[:200].decode("utf-8", "replace").strip()
        problem = Problem(title=response.reason or str(response.status), detail=text or None)
    return api_error(response.status, problem)


def _said(error: BaseException) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
