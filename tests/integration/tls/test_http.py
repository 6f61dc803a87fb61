"""Our own listener over https, and the client that asks it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from colobus import Client
from colobus.errors import ColobusError, NotFound
from shared.runtime.errors import ConfigurationError
from shared.runtime.health import serve
from shared.runtime.lifecycle import Service
from shared.runtime.probe import probe
from shared.runtime.tls import ServerCertificate
from tests.support.installation import free_ports
from tests.support.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who vouches for the server."""
    return Authority.make(tmp_path / "authority")


@pytest.fixture
async def port(authority: Authority) -> AsyncIterator[int]:
    """A server that shows what is in the authority's folder."""
    app = web.Application()
    app.router.add_get("/readyz", _hello)
    service, (port,) = Service("test"), free_ports(1)
    certificate = ServerCertificate(*authority.issue())
    await serve(app, service, "127.0.0.1", port, certificate=certificate)
    yield port
    await service.close(5)


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _serial(port: int, authority: Authority) -> str:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.file)
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


async def test_a_renewed_certificate_is_shown_without_a_restart(
    port: int, authority: Authority
) -> None:
    """To new connections, at once; nobody has to tell the service."""
    before = await _serial(port, authority)
    assert await _serial(port, authority) == before
    authority.issue()
    assert await _serial(port, authority) != before


async def test_half_a_renewal_leaves_the_old_certificate(port: int, authority: Authority) -> None:
    """The new key is there, the new certificate not yet; then it is."""
    before = await _serial(port, authority)
    old = (authority.folder / "server.pem").read_bytes()
    authority.issue()
    new = (authority.folder / "server.pem").read_bytes()
    for broken in (old, b""):
        (authority.folder / "server.pem").write_bytes(broken)
        assert await _serial(port, authority) == before
    (authority.folder / "server.pem").write_bytes(new)
    assert await _serial(port, authority) != before


async def test_plain_http_gets_no_answer(port: int) -> None:
    """Nothing is said in the clear."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://localhost:{port}/readyz")


async def test_the_health_check_asks_over_https(port: int) -> None:
    """On loopback, whatever name the certificate has."""
    assert await asyncio.to_thread(lambda: probe(port, tls=True)) == ""


async def test_the_client_believes_whom_it_is_told_to(
    port: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``COLOBUS_CA_FILE``; without it, by another CA or another name, it says why at once."""
    monkeypatch.setenv("COLOBUS_CA_FILE", str(authority.file))
    async with Client(f"https://localhost:{port}", token="t") as client:
        with pytest.raises(NotFound):  # an answer: it is believed, but it is no front door
            await client.get("vm-01h00000000000000000000000")
    stranger = Authority.make(tmp_path / "stranger")
    for ca, host, why in (
        (stranger.file, "localhost", "can't be trusted: .*certificate verify failed"),
        ("", "localhost", "can't be trusted: .*certificate verify failed"),
        (authority.file, "127.0.0.1", "can't be trusted: .*not valid for '127.0.0.1'"),
        ("/nothing.pem", "localhost", "COLOBUS_CA_FILE: /nothing.pem can't be used"),
    ):
        monkeypatch.setenv("COLOBUS_CA_FILE", str(ca))
        async with Client(f"https://{host}:{port}", token="t") as client:
            with pytest.raises(ColobusError, match=why):
                await client.get("vm-01h00000000000000000000000")


def test_a_certificate_that_cannot_be_used_stops_the_service(authority: Authority) -> None:
    """At the start, with the file's name; not at the first handshake."""
    certificate, key = authority.issue()
    other = authority.issue(to="other")[1]
    with pytest.raises(ConfigurationError, match=r"server\.pem.*MISMATCH"):
        ServerCertificate.of(certificate, other)
    with pytest.raises(ConfigurationError, match="No such file"):
        ServerCertificate.of(authority.folder / "nothing.pem", key)
    with pytest.raises(ConfigurationError, match="without its certificate"):
        ServerCertificate.of(None, key)
    assert ServerCertificate.of(None, None) is None
