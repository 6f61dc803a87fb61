from __future__ import annotations

import asyncio

import pytest

from devcloud.api import open_devcloud
from shared.contract.messages import InspectVms, ReleaseVmPort, VmInspectionFailed
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from tests.end_to_end.vm_worker.world import CLOUD, Replica, World, only
from tests.support.conditions import eventually


async def test_without_keystone_commands_fail_for_now_and_go_on_afterwards(
    world: World, replica: Replica
) -> None:
    """A worker that starts while Keystone is down needs no restart when it is back."""
    vm = replica.vm()
    devcloud = open_devcloud()
    await asyncio.to_thread(devcloud.stop, "keystone")
    try:
        with pytest.raises(TemporaryError) as down:
            await vm.port()
        inspection = InspectVms(cloud=CLOUD, vms=(vm.inspection,))
        failed = only(await vm.do(inspection), VmInspectionFailed)
    finally:
        await asyncio.to_thread(devcloud.start, "keystone")
    assert down.value.reason == Reason.BACKEND_UNAVAILABLE
    assert failed.problem.reason == Reason.BACKEND_UNAVAILABLE
    assert failed.resource_ids == (vm.id,)

    async def prepared() -> bool:
        try:
            await vm.port(repeated=True)
        except TemporaryError:
            return False
        return True

    await eventually(prepared, within=60, what="the port is made once Keystone is back")
    assert await replica.held(vm) == ["port"]


async def test_without_nova_commands_fail_for_now_and_go_on_afterwards(replica: Replica) -> None:
    """The token is fine, the port is there, only Nova is down."""
    vm = replica.vm()
    await vm.port()
    await vm.look()
    devcloud = open_devcloud()
    await asyncio.to_thread(devcloud.kill, "nova-api")
    try:
        with pytest.raises(TemporaryError) as down:
            await vm.server()
    finally:
        await asyncio.to_thread(devcloud.start, "nova-api")
    assert down.value.reason == Reason.BACKEND_UNAVAILABLE

    async def provisioned() -> bool:
        try:
            await vm.server(repeated=True)
        except TemporaryError:
            return False
        return True

    await eventually(provisioned, within=60, what="the server is made once Nova is back")
    await vm.active()
    await vm.remove()
    assert await replica.held(vm) == []


async def test_a_token_that_keystone_has_forgotten_is_replaced(
    world: World, replica: Replica
) -> None:
    """Revoked or expired under way: the call is answered all the same."""
    vm = replica.vm()
    await vm.port()
    connection = replica.backend._connections.of(CLOUD, world.projects["bigtop"])
    token = connection._connection.session.get_token()
    headers = {"X-Subject-Token": token}
    world.admin.identity.delete("/auth/tokens", headers=headers)
    connection._connection.session.auth.invalidate()
    await vm.port(repeated=True)
    assert connection._connection.session.get_token() != token


async def test_many_that_wait_for_a_dead_keystone_fail_together(world: World) -> None:
    """One time-out for all who waited, not one after the other."""
    callers: list[asyncio.StreamWriter] = []

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    async with world.replica(cloud_read_seconds=2) as replica:
        listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        connection = replica.backend._connections.of(CLOUD, world.projects["bigtop"])
        connection._connection.session.auth.auth_url = f"http://127.0.0.1:{port}/v3"
        making = [replica.vm().port() for _ in range(4)]
        removing = [replica.vm().do(ReleaseVmPort(cloud=CLOUD)) for _ in range(4)]
        outcomes = await asyncio.gather(*making, *removing, return_exceptions=True)
    listener.close()
    for caller in callers:
        caller.close()
    assert all(isinstance(outcome, TemporaryError) for outcome in outcomes)
    # Discovery (asked twice, since a GET is safe to repeat) and the token: one round for all.
    assert len(callers) <= 5
