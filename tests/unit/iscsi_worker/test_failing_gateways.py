"""Of several ceph-iscsi hosts one fails: whoever failed is asked last, however it failed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, OutcomeUnknown
from tests.unit.iscsi_worker.scene import access_of

#: How long a call may take, in seconds: all that hangs in these tests hangs for so long. A third of
#: it is for connecting, and that is longer than this machine may pause.
_SECONDS = 4.5
_OTHERS = "failed, gateway(s) unavailable:gw2(iscsi UP, api DOWN)"


@dataclass
class Host:
    """One of the hosts: ``asked`` is what has reached it."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    status: int = 200
    words: str = "successful"

    async def answer(self, request: web.Request) -> web.Response:
        """As it is told to."""
        self.asked.append(request.method)
        return web.json_response({"message": self.words}, status=self.status)


@asynccontextmanager
async def answering(status: int = 200, words: str = "successful") -> AsyncIterator[Host]:
    """Always says the same."""
    host, app = Host(status=status, words=words), web.Application()
    app.router.add_route("*", "/api/{path:.+}", host.answer)
    async with TestServer(app) as server:
        host.url = f"http://{server.host}:{server.port}"
        yield host


@asynccontextmanager
async def hanging() -> AsyncIterator[Host]:
    """Its process hangs: it is connected to, by the kernel, and never answers."""
    host, writers = Host(), list[asyncio.StreamWriter]()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        host.asked.append((await reader.readline()).decode().partition(" ")[0])

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield host
        for writer in writers:
            writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Host]:
    """Nobody answers a SYN, as where the machine is off: nothing more fits into the backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            with suppress(BlockingIOError):
                other.connect(address)
        yield Host(f"http://127.0.0.1:{address[1]}")
        for other in others:
            other.close()


@asynccontextmanager
async def refusing() -> AsyncIterator[Host]:
    """Nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Host(f"http://127.0.0.1:{bound.getsockname()[1]}")


Kind = Callable[[], AbstractAsyncContextManager[Host]]
#: Those that hear a request, and those that don't.
HEARING: dict[str, Kind] = {
    "hung": hanging,
    "503": lambda: answering(503, "Service Unavailable"),
    "500": lambda: answering(500, "Unhandled exception: [Errno 5] Input/output error"),
}
DEAF: dict[str, Kind] = {"off": silent, "refused": refusing}


@asynccontextmanager
async def api_of(folder: Path, *kinds: Kind) -> AsyncIterator[tuple[CephIscsiApi, list[Host]]]:
    """An installation of such hosts."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(kind()) for kind in kinds]
        access = access_of(folder, *(host.url for host in hosts))
        api = CephIscsiApi("rack", access, seconds=_SECONDS)
        stack.push_async_callback(api.close)
        yield api, hosts


def _soon() -> Deadline:
    return Deadline.after(60)


@pytest.mark.parametrize("kind", [*HEARING, *DEAF])
async def test_a_question_goes_on_to_the_next_host_at_once(kind: str, tmp_path: Path) -> None:
    """And all that are asked later begin with that one."""
    bad = (HEARING | DEAF)[kind]
    async with api_of(tmp_path, bad, answering) as (api, (first, second)):
        for _ in range(3):
            assert await api.get(_soon(), "config") == {"message": "successful"}
        await api.put(_soon(), "disk/p/i")
        assert second.asked == ["GET", "GET", "GET", "PUT"]
        assert first.asked == (["GET"] if kind in HEARING else [])


@pytest.mark.parametrize("kind", HEARING)
async def test_a_change_that_may_have_been_heard_fails_and_the_next_host_has_its_next_attempt(
    kind: str, tmp_path: Path
) -> None:
    """Only who looks can tell whether it was made."""
    async with api_of(tmp_path, HEARING[kind], answering) as (api, (first, second)):
        with pytest.raises(BackendUnavailable) as failed:
            await api.put(_soon(), "disk/p/i")
        assert isinstance(failed.value, OutcomeUnknown) == (kind != "503")
        assert (first.asked, second.asked) == (["PUT"], [])
        await api.get(_soon(), "config")
        await api.put(_soon(), "disk/p/i")
        assert (first.asked, second.asked) == (["PUT"], ["GET", "PUT"])


@pytest.mark.parametrize("kind", DEAF)
async def test_a_change_that_nobody_can_have_heard_goes_on_at_once(
    kind: str, tmp_path: Path
) -> None:
    """There was no connection."""
    async with api_of(tmp_path, DEAF[kind], answering) as (api, (_, second)):
        for _ in range(2):
            await api.delete(_soon(), "disk/p/i")
        assert second.asked == ["DELETE", "DELETE"]


async def test_who_failed_is_asked_again_when_the_other_one_fails(tmp_path: Path) -> None:
    """Not before: nothing is lost by asking the other one, and a host that hangs costs its time."""
    async with api_of(tmp_path, answering, answering) as (api, (first, second)):
        first.status = second.status = 503
        with pytest.raises(BackendUnavailable, match="successful"):  # its own words
            await api.get(_soon(), "config")
        assert (first.asked, second.asked) == (["GET"], ["GET"])
        first.status = 200
        await api.get(_soon(), "config")
        first.status, second.status = 503, 200
        await api.get(_soon(), "config")
        await api.get(_soon(), "config")
        assert (first.asked, second.asked) == (["GET"] * 3, ["GET"] * 3)


async def test_a_host_that_tells_of_anothers_fault_is_asked_on(tmp_path: Path) -> None:
    """It answers; the one that it names would not."""
    async with api_of(tmp_path, lambda: answering(503, _OTHERS), hanging) as (api, (first, second)):
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="gw2"):
                await api.put(_soon(), "disk/p/i")
        assert (first.asked, second.asked) == (["PUT"] * 2, [])


async def test_where_all_hosts_fail_the_store_is_unavailable(tmp_path: Path) -> None:
    """Whoever heard it last says why."""
    async with api_of(tmp_path, hanging, refusing, silent) as (api, (first, *_)):
        with pytest.raises(BackendUnavailable, match="TimeoutError"):
            await api.get(_soon(), "config")
        assert first.asked == ["GET"]
