"""Connections only to addresses that a webhook may go to, decided at connect time.

A name is resolved once per connection, every address it has is judged, and the connection goes to
one of those very addresses: a name that changes its mind between check and use gains nothing. The
socket factory judges again, and alone judges literal addresses, for which aiohttp asks no resolver.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from shared.runtime.url_policy import Network, address_allowed

#: Looks up a host: (host, port, family) → its addresses as text.
Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[Sequence[str]]]


class AddressRefused(OSError):
    """The host leads to an address that isn't public and that the operator doesn't allow.

    The address isn't told: it may come from the operator's own name service.
    """

    def __init__(self) -> None:
        super().__init__("the host's address is not public and not allowed by the operator")


def system_lookup(executor: Executor) -> Lookup:
    """Ask the system's resolver in ``executor``, a pool of our own: a slow name blocks no other."""

    async def look_up(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        def ask() -> list[Any]:
            return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)

        infos = await asyncio.get_running_loop().run_in_executor(executor, ask)
        return list(dict.fromkeys(str(info[4][0]) for info in infos))

    return look_up


class CheckedResolver(AbstractResolver):
    """Resolves names to allowed addresses, or not at all: one refused address refuses the name."""

    def __init__(self, lookup: Lookup, allowed_networks: Sequence[Network]) -> None:
        self._lookup = lookup
        self._allowed = tuple(allowed_networks)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``; raise `AddressRefused`, or OSError when it has none."""
        addresses = await self._lookup(host, port, family)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if not all(address_allowed(address, self._allowed) for address in addresses):
            raise AddressRefused
        return [_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def checked_sockets(allowed_networks: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """Return a socket factory that makes no socket for a refused address.

    It is given the very address (as of `socket.getaddrinfo`) that is connected to next.
    """
    allowed = tuple(allowed_networks)

    def make_socket(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not address_allowed(str(address[0]), allowed):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    return make_socket
