"""POSTs webhooks with aiohttp: bounded in time and in what is read, and following nothing."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from services.webhook_worker.backend import Answer
from services.webhook_worker.schedule import parse_retry_after
from services.webhook_worker.ssrf import (
    AddressRefused,
    CheckedResolver,
    Lookup,
    checked_sockets,
    system_lookup,
)
from shared.contract.codec import CONTENT_TYPE
from shared.runtime.url_policy import Network, check_callback_url

#: So much of an answer is read, so that its connection may serve again; it is kept nowhere.
MAX_ANSWER = 1024
#: Idle connections are dropped before usual servers drop them: a POST isn't repeated by itself.
_KEEP_ALIVE = 4.0
_LOOKUP_THREADS = 64
_USER_AGENT = "Colobus-Webhook/1"
_RETRY_AFTER_STATUSES = (429, 503)


class HttpBackend:
    """The `Endpoint` of production. ``timeout`` seconds are for everything, name to answer."""

    def __init__(
        self,
        allowed_networks: Sequence[Network],
        *,
        timeout: float = 15,
        lookup: Lookup | None = None,
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="lookup")
        self._session = self._open(lookup or system_lookup(self._threads))

    def _open(self, lookup: Lookup) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(lookup, self._allowed),
            socket_factory=checked_sockets(self._allowed),
            use_dns_cache=False,
            keepalive_timeout=_KEEP_ALIVE,
            limit=0,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT, "Content-Type": CONTENT_TYPE},
            trust_env=False,
            auto_decompress=False,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST once; whatever the other side does is in the answer."""
        started = time.monotonic()
        try:
            check_callback_url(url, self._allowed)
            status, retry_after = await self._request(url, headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Answer(milliseconds=_since(started), error=self._describe(error))
        return Answer(milliseconds=_since(started), status=status, retry_after=retry_after)

    async def _request(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, float | None]:
        async with self._session.post(
            url, headers=headers, data=body, allow_redirects=False
        ) as response:
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                await response.content.read(MAX_ANSWER)
            if response.status not in _RETRY_AFTER_STATUSES:
                return response.status, None
            wish = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            return response.status, wish

    def _describe(self, error: Exception) -> str:
        """The error in words that the subscriber may read, without addresses."""
        cause = getattr(error, "os_error", error)
        if isinstance(cause, AddressRefused):
            return str(cause)
        match error:
            case TimeoutError():
                return f"no answer within {self._timeout:g} s"
            case aiohttp.ClientConnectorDNSError() | socket.gaierror():
                return "the host name does not resolve"
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return f"TLS: {getattr(cause, 'verify_message', None) or 'the handshake failed'}"
            case aiohttp.ClientConnectorError(os_error=failure):
                return f"connection failed: {os.strerror(failure.errno or errno.ECONNABORTED)}"
            case aiohttp.InvalidURL():
                return "the URL is not valid"
            case aiohttp.ClientConnectionError() | OSError():
                return "the connection was closed without an answer"
            case aiohttp.ClientError():
                return "the answer is not HTTP"
        return f"the URL {error}"

    async def close(self) -> None:
        """Close connections; look-ups under way are left to end by themselves."""
        await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
