"""The resolver and the sockets that webhooks go through."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from services.webhook_worker.ssrf import (
    AddressRefused,
    CheckedResolver,
    Lookup,
    checked_sockets,
)
from shared.runtime.url_policy import parse_networks


def answering(*addresses: str) -> Lookup:
    async def look_up(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        return addresses

    return look_up


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        # one bad address among good ones, wherever it stands
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700::1111", "fd00::1"],
    ],
)
async def test_a_name_with_any_refused_address_does_not_resolve(addresses: list[str]) -> None:
    """Every address counts: a connection could go to any of them."""
    resolver = CheckedResolver(answering(*addresses), ())
    with pytest.raises(AddressRefused):
        await resolver.resolve("example.com", 80)


async def test_a_name_resolves_to_the_very_addresses_that_were_checked() -> None:
    """They are numeric, so that nothing is looked up a second time."""
    resolver = CheckedResolver(answering("8.8.8.8", "2606:4700::1111"), ())
    results = await resolver.resolve("example.com", 443)
    assert [(r["hostname"], r["host"], r["port"], r["family"]) for r in results] == [
        ("example.com", "8.8.8.8", 443, socket.AF_INET),
        ("example.com", "2606:4700::1111", 443, socket.AF_INET6),
    ]
    assert all(result["flags"] & socket.AI_NUMERICHOST for result in results)


async def test_an_allowed_network_resolves() -> None:
    """What the operator allows may be inside."""
    resolver = CheckedResolver(answering("127.0.0.1"), parse_networks(["127.0.0.0/8"]))
    assert [result["host"] for result in await resolver.resolve("localhost")] == ["127.0.0.1"]


async def test_a_name_without_addresses_is_an_error_of_name_resolution() -> None:
    """Its type tells it from a refusal."""
    with pytest.raises(socket.gaierror):
        await CheckedResolver(answering(), ()).resolve("example.com")


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80, 0, 0), ("169.254.169.254", 80)])
def test_no_socket_is_made_for_a_refused_address(address: tuple[str, int]) -> None:
    """The last check, just before the connection; literal addresses see no other."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with pytest.raises(AddressRefused):
        checked_sockets(())((family, socket.SOCK_STREAM, 0, "", address))


def test_a_socket_is_made_for_an_allowed_address() -> None:
    """Of the family and kind that was asked for."""
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 80))
    with checked_sockets(())(info) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)
