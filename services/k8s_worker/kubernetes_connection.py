"""One connection to a cluster's API server: the only file that imports kubernetes_asyncio.

Who owns a cluster can put any server at its address. So what that says is a stranger's word: it is
read within a bound of time and of size, it sends us nowhere (no redirects, no proxies), and what
can't be digested is `Unanswered` like what is not said at all. The library makes the TLS of it;
its models are not used, since they are built on the event loop, whole, and raise what they like.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec
import structlog
import yarl
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.client.rest import RESTClientObject

from services.k8s_worker.backend import Access, Unanswered

T = TypeVar("T")
#: Seconds for one call, from connecting to the last byte; and for connecting alone.
SECONDS, CONNECT_SECONDS = 15.0, 5.0
#: Bytes of one answer. msgspec reads so much within some tens of milliseconds, on the event loop.
MOST_BYTES = 4 * 1024 * 1024
#: How many things one page of a list has, and how many pages are read.
PAGE, MOST_PAGES = 100, 50
#: How much of a refusal's words is told, and how much is looked at.
_LONGEST, _LOOKED_AT = 200, 2000
#: How long the words may be that say where the next page begins.
_LONGEST_PLACE = 4096
APPLY = "application/apply-patch+yaml"
#: Nothing packed: a small answer must not become a large one.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}

_log = structlog.get_logger(__name__)


class Page(msgspec.Struct, Generic[T]):
    """A list of the API, in the fields that are wanted of its items."""

    items: list[T] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def more(self) -> str:
        """Where the next page begins; empty after the last. It becomes part of an address."""
        found = (self.metadata or {}).get("continue")
        return found if isinstance(found, str) and len(found) <= _LONGEST_PLACE else ""


class _Status(msgspec.Struct):
    message: str | None = None


@dataclass(frozen=True)
class Answer(Generic[T]):
    """``content`` is there where ``status`` is 2xx; else ``words`` say what the server did.

    ``said`` is more of what it said itself: to be looked into, not to be told.
    """

    status: int
    content: T | None
    words: str = ""
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether the call had its effect."""
        return 200 <= self.status < 300

    def value(self) -> T:
        """Return the content; raises `Unanswered` where the status is another than 2xx."""
        if self.content is None:
            raise Unanswered(self.words, refused=self.status in (401, 403))
        return self.content


class KubernetesConnection:
    """Made inside a running loop; raises `Unanswered` where an access can't open anything."""

    def __init__(self, access: Access) -> None:
        self._at = f"The API server at {access.address}"
        try:
            self._base = yarl.URL(access.address.rstrip("/"))
        except ValueError as error:
            raise Unanswered(f"{self._at} has no address that can be read.") from error
        if self._base.scheme != "https" or not self._base.host:
            raise Unanswered(f"{self._at} is not asked: its address is not an https one.")
        try:
            library = _library(access)
        except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
            raise Unanswered(
                f"{self._at} has certificates that can't be read.", refused=True
            ) from error
        connector = library.pool_manager.connector
        library.pool_manager.detach()
        # A session of our own: the library's follows redirects, asks proxies and keeps cookies.
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
        )

    async def close(self) -> None:
        """Close it; calls that are under way end as unanswered."""
        await self._session.close()

    async def get(self, path: str, into: type[T], **query: str | int) -> Answer[T]:
        """GET ``path``, read as ``into``; all methods raise `Unanswered`."""
        return await self._ask("GET", path, into, query)

    async def post(self, path: str, body: object, into: type[T], **query: str | int) -> Answer[T]:
        """POST ``body`` as JSON."""
        return await self._ask("POST", path, into, query, body)

    async def patch(
        self, path: str, body: object, into: type[T], *, kind: str = APPLY, **query: str | int
    ) -> Answer[T]:
        """PATCH; by default a server-side apply, which wants ``fieldManager`` in the query."""
        return await self._ask("PATCH", path, into, query, body, kind)

    async def delete(
        self, path: str, into: type[T], *, options: object = None, **query: str | int
    ) -> Answer[T]:
        """DELETE ``path``; what has gone already is an answer like another (404).

        With ``options`` (a DeleteOptions) those of the query don't count.
        """
        return await self._ask("DELETE", path, into, query, options)

    async def all_of(self, path: str, page: type[Page[T]], **query: str | int) -> list[T]:
        """GET a list, page by page, `PAGE` * `MOST_PAGES` at most."""
        found: list[T] = []
        query = {**query, "limit": PAGE}
        for _ in range(MOST_PAGES):
            shown = (await self.get(path, page, **query)).value()
            found += shown.items or ()
            if not shown.more:
                break
            query["continue"] = shown.more
        return found

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Bound several calls together; `Unanswered` when their time is over."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Unanswered(self._words(error)) from error

    async def _ask(
        self,
        method: str,
        path: str,
        into: type[T],
        query: Mapping[str, str | int],
        body: object = None,
        kind: str = "application/json",
    ) -> Answer[T]:
        url = (self._base / path.lstrip("/")).with_query(dict(query))
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(SECONDS):
                status, text = await self._sent(method, url, data, kind)
            if 200 <= status < 300:
                return Answer(status, msgspec.json.decode(text, type=into))
            said = _said(text)
            return Answer(status, None, self._refusal(status, said), said)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            untrusted = isinstance(error, aiohttp.ClientSSLError | ssl.SSLError)
            raise Unanswered(self._words(error), refused=untrusted) from error
        except Exception as error:  # a stranger's answer may break anything
            if self._session.closed:
                raise Unanswered(self._words(error)) from error
            _log.info("an answer can't be read", server=self._at, error=type(error).__name__)
            raise Unanswered(f"{self._at} answers what can't be read.") from error

    async def _sent(
        self, method: str, url: yarl.URL, data: bytes | None, kind: str
    ) -> tuple[int, bytes]:
        headers = {} if data is None else {"Content-Type": kind}
        call = self._session.request(method, url, data=data, headers=headers, allow_redirects=False)
        async with call as response:
            read = bytearray()
            async for part in response.content.iter_any():
                read += part
                if len(read) > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES} bytes")
            return response.status, bytes(read)

    def _refusal(self, status: int, said: str) -> str:
        if status in (401, 403):
            what = f"refuses our certificate ({status})"
        elif 300 <= status < 400:
            what = f"sends us elsewhere ({status}), where we don't go"
        else:
            what = f"answers {status}"
        return f"{self._at} {what}{': ' if said else ''}{said[:_LONGEST]}."

    def _words(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"{self._at} does not answer in time."
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return (
                f"{self._at} shows no certificate of its cluster's authority,"
                " or does not take ours."
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"{self._at} can't be reached."
        return f"{self._at} broke off."


def _said(text: bytes) -> str:
    try:
        return (msgspec.json.decode(text, type=_Status).message or "")[:_LOOKED_AT]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _library(access: Access) -> Any:
    """Return the library's client: it has the TLS that authenticates both sides."""
    settings = Configuration(host=access.address)
    with ExitStack() as files:
        settings.ssl_ca_cert = files.enter_context(_in_memory(access.authority))
        # One file has both, as OpenSSL takes it.
        both = access.certificate + "\n" + access.key
        settings.cert_file = files.enter_context(_in_memory(both))
        return RESTClientObject(settings)  # reads the files


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Provide a file for libraries that read secrets from files alone; it is on no disk."""
    handle = os.memfd_create("access", os.MFD_CLOEXEC)
    try:
        os.write(handle, text.encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
