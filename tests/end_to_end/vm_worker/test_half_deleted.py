"""What Nova's host died over just before it was gone is not waited for without end."""

from __future__ import annotations

import pytest

from devcloud.api import open_devcloud
from devcloud.components.mariadb import query
from shared.contract.messages import DeprovisionVm, RemoveOrphan, VmDeletionStarted
from shared.runtime.errors import TemporaryError
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, World, only


@pytest.mark.parametrize("again", ["deleted", "made", "removed as an orphan"])
async def test_a_server_whose_host_died_just_before_it_was_gone_is_deleted_again(
    world: World, replica: Replica, again: str
) -> None:
    """Nova shows it as DELETED for ever, on no host, until it is asked once more."""
    vm = replica.vm()
    await vm.port()
    server_id = (await vm.server()).server_id
    await vm.active()
    _leave_half_deleted(world, vm)
    left = world.admin.compute.get_server(server_id)
    assert (left.status, left.task_state) == ("DELETED", None)
    if again == "deleted":
        order = DeprovisionVm(cloud=CLOUD, server_id=server_id)
        only(await vm.do(order, repeated=True), VmDeletionStarted)
    elif again == "made":
        with pytest.raises(TemporaryError, match="still being removed"):
            await vm.server(repeated=True)
    else:
        orphan = RemoveOrphan(place=CLOUD, what="server", object_id=server_id, resource_id=vm.id)
        assert await vm.do(orphan) == []
    await vm.until(lambda seen: seen.gone)
    await vm.remove()
    assert await replica.held(vm) == []


async def test_a_server_whose_host_died_over_its_making_is_replaced_on_the_same_port(
    world: World, replica: Replica
) -> None:
    """Nova takes a port for its own that it had no time to note, and deletes it with the server."""
    vm = replica.vm()
    port_id = (await vm.port()).port_id
    server_id = (await vm.server()).server_id
    await vm.active()
    _leave_half_made(vm)
    assert world.admin.compute.get_server(server_id).status == "ERROR"
    with pytest.raises(TemporaryError, match="is being replaced"):
        await vm.server(repeated=True)
    await vm.until(lambda seen: seen.gone)
    made = await vm.server(repeated=True)
    assert made.server_id != server_id
    await vm.active()
    port = world.admin.network.get_port(port_id)
    assert (port.device_id, port.status) == (made.server_id, "ACTIVE")
    await vm.remove()
    assert await replica.held(vm) == []


def _leave_half_made(vm: Vm) -> None:
    """As nova-compute has it when it comes back after it died over the making of a server."""
    site = open_devcloud().site
    state = "vm_state = 'error', task_state = NULL"
    query(site, f"UPDATE nova.instances SET {state} WHERE uuid = '{vm.server_id}'")
    noted = f"network_info = '[]' WHERE instance_uuid = '{vm.server_id}'"
    query(site, f"UPDATE nova.instance_info_caches SET {noted}")


def _leave_half_deleted(world: World, vm: Vm) -> None:
    """As nova-compute has it when it dies between its last two writes (`_delete_instance`)."""
    state = "vm_state = 'deleted', task_state = NULL, host = NULL, node = NULL"
    query(open_devcloud().site, f"UPDATE nova.instances SET {state} WHERE uuid = '{vm.server_id}'")
    world.admin.network.update_port(vm.port_id, device_id="", device_owner="")
