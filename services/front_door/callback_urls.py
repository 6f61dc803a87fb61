"""Where a webhook may go, checked at the door: the form, and what the name resolves to now.

The webhook worker checks the address again at connect time, for names change; what is refused
here is what the user can mend right away.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

from yarl import URL

from services.front_door.faults import bad_field
from shared.runtime.url_policy import address_allowed, check_callback_url, parse_networks

#: How long a name server may take, in seconds.
RESOLVE_SECONDS = 3.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]


class CallbackUrls:
    """The policy; ``allowed_networks`` are CIDRs that are not public and allowed all the same."""

    def __init__(self, allowed_networks: Iterable[str], *, resolve: Resolve | None = None) -> None:
        self._allowed = parse_networks(allowed_networks)
        self._resolve = resolve or _addresses_of

    async def check(self, url: str | None, pointer: str) -> None:
        """Raise `RequestFault` 422, naming ``pointer``, for a URL that nothing will be sent to."""
        if url is None:
            return
        try:
            check_callback_url(url, self._allowed)
        except ValueError as error:
            raise bad_field(pointer, f"The URL {error}.") from error
        host = URL(url).raw_host or ""
        for address in await self._addresses(host, pointer):
            if not address_allowed(address, self._allowed):
                detail = f"The host {host} leads to {address}, which is not public."
                raise bad_field(pointer, detail)

    async def _addresses(self, host: str, pointer: str) -> Sequence[str]:
        """Resolve ``host``; a name server that doesn't answer is no reason to refuse."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return await self._resolve(host)
        except TimeoutError:
            return ()
        except UnicodeError as error:
            raise bad_field(pointer, f"{host!r} is not a host name.") from error
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
                raise bad_field(pointer, f"The host {host} does not exist.") from error
            return ()


async def _addresses_of(host: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[4][0]) for address in found})
