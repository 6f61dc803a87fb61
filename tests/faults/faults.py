"""Each kind of fault as a context: broken inside, mended at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psutil

from tests.faults.schedule import ALL_COMPONENTS, TGTD, Fault, Kind
from tests.faults.trees import resume, suspend
from tests.faults.world import World


def fault(world: World, what: Fault) -> AbstractAsyncContextManager[None]:
    """Return the fault, to be entered when its time has come."""
    if what.kind is Kind.SILENCE:
        return silent(world, what.target, loses=what.loses)
    if what.target == TGTD:
        return _OF_TGTD[what.kind](world)
    return _BY_KIND[what.kind, what.target in ALL_COMPONENTS](world, what.target)


@asynccontextmanager
async def killed_service(world: World, process: str) -> AsyncIterator[None]:
    """Kill -9 a service; start it again at the end, and wait until it is ready."""
    await world.count_duplicates(process)  # its counters die with it
    world.kill(process)
    try:
        yield
    finally:
        world.colobus.spawn(process)
        await asyncio.to_thread(world.colobus.wait_ready, process)


@asynccontextmanager
async def paused_service(world: World, process: str) -> AsyncIterator[None]:
    """SIGSTOP a service, SIGCONT it at the end."""
    running = world.colobus.processes[process]
    stopped = suspend([running.pid] if running.poll() is None else [])
    try:
        yield
    finally:
        resume(stopped)


@asynccontextmanager
async def killed_component(world: World, component: str) -> AsyncIterator[None]:
    """Kill -9 a part of the cloud, broker or database; start it again at the end."""
    await asyncio.to_thread(world.supervisor.kill, component)
    try:
        yield
    finally:
        await asyncio.to_thread(world.supervisor.start, component)


@asynccontextmanager
async def paused_component(world: World, component: str) -> AsyncIterator[None]:
    """SIGSTOP a part of the cloud, broker or database, SIGCONT it at the end: all its processes."""
    stopped: list[psutil.Process] = []
    try:
        await asyncio.to_thread(world.supervisor.pause, component)
        stopped += suspend(world.pids(component))
        yield
    finally:
        resume(stopped)
        await asyncio.to_thread(world.supervisor.resume, component)


@asynccontextmanager
async def killed_tgtd(world: World) -> AsyncIterator[None]:
    """Kill -9 the iSCSI target, which forgets everything; start it again at the end."""
    tgtd = world.bare_metal.tgtd
    await asyncio.to_thread(tgtd.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(tgtd.start)


@asynccontextmanager
async def paused_tgtd(world: World) -> AsyncIterator[None]:
    """SIGSTOP the iSCSI target, SIGCONT it at the end."""
    world.bare_metal.tgtd.pause()
    try:
        yield
    finally:
        world.bare_metal.tgtd.go_on()


@asynccontextmanager
async def cut(world: World, cable: str) -> AsyncIterator[None]:
    """Reset all connections of a cable; new ones are taken at once."""
    await world.cables[cable].cut()
    yield


@asynccontextmanager
async def refused(world: World, cable: str) -> AsyncIterator[None]:
    """Reset all connections of a cable, and take none until the end."""
    await world.cables[cable].refuse()
    await world.cables[cable].cut()
    try:
        yield
    finally:
        await world.cables[cable].accept()


@asynccontextmanager
async def silent(world: World, cable: str, *, loses: bool) -> AsyncIterator[None]:
    """Carry nothing until the end; then carry on, or (``loses``) reset with all that was held."""
    world.cables[cable].hold()
    try:
        yield
    finally:
        if loses:
            await world.cables[cable].cut()
        world.cables[cable].release()


_OF_TGTD: dict[Kind, Callable[[World], AbstractAsyncContextManager[None]]] = {
    Kind.KILL: killed_tgtd,
    Kind.PAUSE: paused_tgtd,
}
_Make = Callable[[World, str], AbstractAsyncContextManager[None]]
#: By kind, and whether it is a component of devcloud's.
_BY_KIND: dict[tuple[Kind, bool], _Make] = {
    (Kind.KILL, False): killed_service,
    (Kind.KILL, True): killed_component,
    (Kind.PAUSE, False): paused_service,
    (Kind.PAUSE, True): paused_component,
    (Kind.CUT, False): cut,
    (Kind.REFUSE, False): refused,
}
