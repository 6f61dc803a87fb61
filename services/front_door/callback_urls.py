"""Where a webhook may go, checked at the door: the form, and what the name resolves to now.

The webhook worker checks the address again at connect time, for names change; what is refused
here is what the user can mend right away.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

from yarl import URL

from shared.contract.problems import FieldError
from shared.runtime.url_policy import address_allowed, check_callback_url, parse_networks

#: How long a name server may take, in seconds.
RESOLVE_SECONDS = 3.0

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

Resolve = Callable[[str], Awaitable[Sequence[str]]]


class CallbackUrls:
    """The policy; ``allowed_networks`` are CIDRs that are not public and allowed all the same."""

    def __init__(self, allowed_networks: Iterable[str], *, resolve: Resolve | None = None) -> None:
        self._allowed = parse_networks(allowed_networks)
        self._resolve = resolve or _addresses_of

    async def faults(self, url: object, pointer: str) -> list[FieldError]:
        """Return why nothing will be sent to ``url``, naming ``pointer``; [] when it is fine.

        What is no text isn't judged: its type is wrong, and that is told elsewhere.
        """
        if not isinstance(url, str):
            return []
        try:
            check_callback_url(url, self._allowed)
            await self._check_addresses(URL(url).raw_host or "")
        except ValueError as error:
            return [FieldError(detail=f"No URL for callbacks: {error}.", pointer=pointer)]
        return []

    async def _check_addresses(self, host: str) -> None:
        """Resolve ``host``; a name server that doesn't answer is no reason to refuse."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                addresses = await self._resolve(host)
        except TimeoutError:
            return
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise ValueError(f"there is no host {host}") from error
            return
        for address in addresses:
            if not address_allowed(address, self._allowed):
                raise ValueError(f"{host} leads to {address}, which is not public")


async def _addresses_of(host: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[4][0]) for address in found})
