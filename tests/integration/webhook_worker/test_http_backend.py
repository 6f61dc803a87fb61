"""One POST to endpoints of all sorts, good, bad and hostile, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.webhook_worker.backend import Answer, Verdict
from services.webhook_worker.http_backend import HttpBackend
from services.webhook_worker.ssrf import AddressRefused, Lookup
from shared.runtime.url_policy import parse_networks
from tests.support.webhooks import Receiver, Scripted

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(
    networks: Sequence[str] = ("127.0.0.0/8",), *, timeout: float = 5, lookup: Lookup | None = None
) -> AsyncIterator[HttpBackend]:
    made = HttpBackend(parse_networks(networks), timeout=timeout, lookup=lookup)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[str]:
    """A server that talks as the test says; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def post(to: HttpBackend, url: str) -> Answer:
    return await to.post(url, {"webhook-id": "msg_1"}, b"{}")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.RETRY),
        (304, Verdict.RETRY),
        (400, Verdict.RETRY),
        (404, Verdict.RETRY),
        (410, Verdict.GONE),
        (500, Verdict.RETRY),
    ],
)
async def test_the_status_decides(receiver: Receiver, status: int, verdict: Verdict) -> None:
    """2xx is delivered, 410 is the end, all else is tried again."""
    receiver.will_answer(status)
    async with backend() as to:
        answer = await post(to, receiver.url())
    assert (answer.status, answer.error, answer.verdict) == (status, None, verdict)


async def test_a_name_that_turns_to_a_private_address_is_refused_at_connect(
    receiver: Receiver,
) -> None:
    """DNS rebinding: public when it was checked, private when it is connected to."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]])
    asked: list[str] = []

    async def rebinding(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    port = receiver.base.rpartition(":")[2]
    url = f"http://rebinding.example.com:{port}/hook"
    assert await rebinding("rebinding.example.com", 80, socket.AF_INET) == ["8.8.8.8"]
    async with backend(["192.0.2.0/24"], lookup=rebinding) as to:
        for _ in range(2):
            answer = await post(to, url)
            assert "not public" in (answer.error or "")
            assert "127.0.0.1" not in (answer.error or "")
    assert receiver.received == []
    assert len(asked) == 3


async def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    """One look-up per connection; the name isn't asked for again in between."""
    asked: list[str] = []

    async def once(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        asked.append(host)
        assert len(asked) == 1, "looked up a second time"
        return ["127.0.0.1"]

    port = receiver.base.rpartition(":")[2]
    async with backend(lookup=once) as to:
        answer = await post(to, f"http://pinned.example.com:{port}/hook")
    assert answer.status == 204
    assert receiver.received[0].headers["host"] == f"pinned.example.com:{port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_nothing_on_loopback_is_reached_unless_allowed(receiver: Receiver, host: str) -> None:
    """Literal addresses, for which no resolver is asked, are judged as well."""
    port = receiver.base.rpartition(":")[2]
    async with backend([]) as to:
        answer = await post(to, f"http://{host}:{port}/hook")
    assert answer.status is None
    assert receiver.received == []


async def test_a_literal_address_is_refused_by_the_socket_itself(receiver: Receiver) -> None:
    """Should the check of the URL ever fail, the connection is still not made."""
    async with backend([]) as to:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await to._request(receiver.url(), {}, b"")
    assert isinstance(refused.value.os_error, AddressRefused)
    assert receiver.received == []


async def test_no_redirect_cookie_or_proxy_leads_anywhere_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoints can't steer later requests, and the environment can't reroute them."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1/")
    cookie = {"Set-Cookie": "session=1; Path=/", "Location": receiver.url("/elsewhere")}
    receiver.will_answer(Scripted(302, cookie), 204)
    async with backend() as to:
        assert (await post(to, receiver.url())).status == 302
        assert (await post(to, receiver.url())).status == 204
    assert receiver.at("/elsewhere") == []
    assert all("cookie" not in received.headers for received in receiver.received)


async def test_an_endpoint_that_never_answers_ends_with_the_timeout(receiver: Receiver) -> None:
    """The timeout is for everything together."""
    receiver.will_answer(Scripted(held=asyncio.Event()))
    async with backend(timeout=0.2) as to:
        answer = await post(to, receiver.url())
    assert (answer.status, answer.error) == (None, "no answer within 0.2 s")


async def test_a_name_server_that_never_answers_ends_with_the_timeout() -> None:
    """Looking up a name is part of the time."""

    async def never(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with backend(timeout=0.2, lookup=never) as to:
        answer = await post(to, "http://slow.example.com/")
    assert answer.error == "no answer within 0.2 s"


async def test_an_endless_answer_is_cut_and_its_status_counts() -> None:
    """No more than a little of a body is read, whatever its length claims."""
    written = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while written < 1_000_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    async with raw_server(flood) as url, backend() as to:
        answer = await post(to, url)
    assert answer.verdict is Verdict.DELIVERED
    assert written < 50_000_000


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200", "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "not HTTP"),
    ],
)
async def test_what_is_no_http_is_a_failure_in_words(said: bytes, error: str) -> None:
    """The owner reads what is wrong with the endpoint."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with raw_server(talk) as url, backend() as to:
        answer = await post(to, url)
    assert answer.status is None
    assert error in (answer.error or "")


async def test_unreachable_endpoints_are_told_apart(receiver: Receiver) -> None:
    """No such name, nobody listening, no TLS: each in its own words."""

    async def unknown(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        async with backend(lookup=unknown) as to:
            nowhere = await post(to, "http://nowhere.example/")
            nobody = await post(to, closed)
            no_tls = await post(to, receiver.url().replace("http:", "https:"))
    assert nowhere.error == "the host name does not resolve"
    assert nobody.error == "connection failed: Connection refused"
    assert no_tls.error == "TLS: the handshake failed"


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """Webhooks go to who the URL names, or not at all."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server, backend() as to:
        port = server.sockets[0].getsockname()[1]
        answer = await post(to, f"https://127.0.0.1:{port}/")
    assert answer.error == "TLS: self-signed certificate"
    assert heard in ([], [b""])


def self_signed(directory: Path) -> Path:
    """Make a certificate for 127.0.0.1; return the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    private = key.private_bytes(*form, serialization.NoEncryption())
    file = directory / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


async def test_connections_are_used_again_for_the_next_webhook(receiver: Receiver) -> None:
    """A burst to one endpoint costs no handshake each."""
    lookups = 0

    async def counting(host: str, port: int, family: socket.AddressFamily) -> Sequence[str]:
        nonlocal lookups
        lookups += 1
        return ["127.0.0.1"]

    receiver.always_answers(Scripted(200, body=b"thank you"))
    port = receiver.base.rpartition(":")[2]
    async with backend(lookup=counting) as to:
        for _ in range(5):
            assert (await post(to, f"http://ci.example.com:{port}/hook")).status == 200
    assert lookups == 1
