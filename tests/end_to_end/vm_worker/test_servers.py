from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from services.vm_worker.provisioner.servers import AFTER_ANOTHER
from services.vm_worker.user_data import render
from shared.contract.messages import DeprovisionVm, VmDeletionStarted, VmDeprovisioned
from shared.contract.problems import Reason
from shared.runtime.deadline import DeadlineExpired
from shared.runtime.errors import OutcomeUnknown, PermanentError, TemporaryError
from shared.runtime.secrets import SealingKey, seal
from shared.worker.errors import Conflict, Refused, RefusedForNow
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, World, only
from tests.support.conditions import eventually

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzGz me@home"


async def test_provision_vm_makes_one_marked_server(world: World, replica: Replica) -> None:
    """Tags and metadata say whose it is; it runs on its port; the guest gets its config."""
    vm = replica.vm()
    port = await vm.port()
    secret = "#cloud-config\nhostname: web\n"
    made = await vm.server(
        name="web-1",
        labels={"ci/job": "42"},
        ssh_keys=(KEY,),
        sealed_user_data=seal(world.key.public_key, secret.encode()),
    )
    seen = await vm.active()
    assert seen.server_id == made.server_id
    assert seen.addresses == port.fixed_ips
    assert seen.launched_at is not None
    server = world.admin.compute.get_server(made.server_id)
    marks = replica.context.kit.marks
    assert server.name == "web-1"
    assert set(server.tags) == set(marks.tags(vm.id))
    assert server.metadata["colobus_resource"] == vm.id
    assert server.metadata["colobus_label_ci:job"] == "42"
    assert server.has_config_drive
    assert server.user_data == render([KEY], secret)
    config = yaml.safe_load(base64.b64decode(server.user_data))
    assert config == {"hostname": "web", "ssh_authorized_keys": [KEY]}
    assert world.admin.network.get_port(vm.port_id).device_id == made.server_id
    await vm.remove()
    assert await replica.held(vm) == []


async def test_provision_vm_twice_is_one_server(replica: Replica, other_replica: Replica) -> None:
    """Repeated here or in another process, it is the same server."""
    vm = replica.vm()
    await vm.port()
    made = await vm.server()
    assert (await vm.server(repeated=True)).server_id == made.server_id
    assert (await vm.by(other_replica).server(repeated=True)).server_id == made.server_id
    assert await replica.held(vm) == ["port", "server"]
    await vm.remove()


async def test_after_a_workers_death_nothing_is_made_at_once(
    replica: Replica, other_replica: Replica
) -> None:
    """Nova may still be at what the dead one asked for: whoever comes next looks, and waits."""
    vm = replica.vm()
    await vm.port()
    with pytest.raises(OutcomeUnknown) as raised:
        await vm.by(other_replica).server(redelivered=True)
    assert raised.value.retry_after == AFTER_ANOTHER
    soon = datetime.now(UTC) + timedelta(seconds=60)
    with pytest.raises(TemporaryError, match="earlier request") as waits:
        await vm.by(other_replica).server(repeated=True, look_until=soon)
    assert not isinstance(waits.value, OutcomeUnknown)
    assert await replica.held(vm) == ["port"]
    made = await vm.server()
    assert (await vm.by(other_replica).server(redelivered=True)).server_id == made.server_id
    await vm.remove()


async def test_provision_vm_twice_at_once_ends_with_one_server(
    world: World, replica: Replica, other_replica: Replica
) -> None:
    """Nova has no unique key for servers: who is repeated looks again, and one stays."""
    vm = replica.vm()
    await vm.port()
    await asyncio.gather(vm.server(), _made_anew(vm.by(other_replica)))
    await _one_runs(world, replica, vm)
    await vm.remove()
    assert await replica.held(vm) == []


async def test_provision_vm_whose_answer_was_lost_is_found_again(
    world: World, replica: Replica
) -> None:
    """The server exists although nobody was told: the next attempt finds and keeps it."""
    async with world.replica() as losing:
        vm = losing.vm()
        await vm.port()
        other = losing.vm()
        await other.port()
        await other.server()  # so that only the POST itself is cut short
        losing.lose_answers()
        with pytest.raises(TemporaryError) as lost:
            await vm.server()
    assert lost.value.reason == Reason.BACKEND_UNAVAILABLE
    vm, marks = vm.by(replica), replica.context.kit.marks

    async def is_there() -> bool:
        return "server" in await replica.held(vm)

    await eventually(is_there, within=60, what="Nova has made the server all the same")
    made = await vm.server(repeated=True)
    (server,) = world.admin.compute.servers(all_projects=True, tags=marks.resource(vm.id))
    assert server.id == made.server_id
    await vm.active()
    await vm.remove()
    assert await replica.held(vm) == []


async def test_a_second_server_that_came_late_is_removed_when_it_is_seen(
    world: World, replica: Replica
) -> None:
    """The one in the ledger stays; the other was made by a request that was given up on."""
    vm = replica.vm()
    await vm.port()
    await vm.server()
    await vm.active()
    late = world.server_of_a_user("bigtop", replica.context.kit.marks.tags(vm.id))

    async def one_is_left() -> bool:
        seen = await vm.look()
        assert seen.server_id == vm.server_id
        return await replica.held(vm) == ["port", "server"]

    await eventually(one_is_left, within=60, what=f"the late server {late} is gone")
    assert (await vm.active()).server_id == vm.server_id
    await vm.remove()
    assert await replica.held(vm) == []


async def test_of_two_servers_the_one_that_runs_is_the_vm(world: World, replica: Replica) -> None:
    """Even when the ledger was told of the other, which lost the race for the port."""
    vm = replica.vm()
    await vm.port()
    running = await vm.server()
    tags = replica.context.kit.marks.tags(vm.id)
    vm.server_id = world.server_of_a_user("bigtop", tags, flavor="broken")

    async def one_is_left() -> bool:
        await vm.look()
        return await replica.held(vm) == ["port", "server"]

    await eventually(one_is_left, within=60, what="the broken server is gone")
    assert (await vm.active()).server_id == running.server_id
    await vm.remove()
    assert await replica.held(vm) == []


async def test_a_server_whose_port_was_taken_off_is_replaced(
    world: World, replica: Replica
) -> None:
    """Nova does so when it gives up the build of a second server; the next attempt mends it."""
    vm = replica.vm()
    await vm.port()
    broken = await vm.server()
    await vm.active()
    free = {"device_id": "", "device_owner": "", "binding_host_id": ""}
    world.admin.network.update_port(vm.port_id, **free)
    assert (await vm.look()).port_lost
    await _made_anew(vm)
    assert vm.server_id != broken.server_id
    await vm.until(lambda seen: seen.port_status == "ACTIVE")
    assert world.admin.network.get_port(vm.port_id).device_id == vm.server_id
    assert await replica.held(vm) == ["port", "server"]
    await vm.remove()


async def _made_anew(vm: Vm) -> None:
    async def made() -> bool:
        try:
            await vm.server(repeated=True)
        except TemporaryError:
            return False  # the broken one is still going, and would take the port along
        return True

    await eventually(made, within=60, what="there is one server again")


async def test_a_second_server_on_the_port_does_the_first_no_lasting_harm(
    world: World, replica: Replica, other_replica: Replica
) -> None:
    """Two attempts at once, as after a lost answer: at last one server runs, with its port."""
    vm = replica.vm()
    await vm.port()
    await asyncio.gather(vm.server(), vm.by(other_replica).server())
    await _one_runs(world, replica, vm)
    await vm.remove()


async def _one_runs(world: World, replica: Replica, vm: Vm) -> None:
    """At last one server runs, with the port; what the other's end has broken is made anew."""

    async def proven() -> bool:
        seen = await vm.look()
        if seen.port_lost or seen.gone or seen.server_status == "ERROR":
            await _made_anew(vm)
        is_up = (seen.server_status, seen.port_status) == ("ACTIVE", "ACTIVE")
        return is_up and await replica.held(vm) == ["port", "server"]

    await eventually(proven, within=240, what="the VM is proven")
    (server,) = world.admin.compute.servers(
        all_projects=True, tags=replica.context.kit.marks.resource(vm.id)
    )
    assert world.admin.network.get_port(vm.port_id).device_id == server.id
    vm.server_id = server.id


async def test_a_port_that_has_a_server_gets_no_second_one(replica: Replica) -> None:
    """Nova refuses, and its refusal is no failure when the server there is this VM's."""
    vm = replica.vm()
    await vm.port()
    made = await vm.server()
    await vm.active()
    assert await vm.server() == made
    thief = replica.vm()
    with pytest.raises(Conflict, match="in use"):
        await thief.server(port_id=vm.port_id)
    await vm.remove()


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"image": "nosuchimage"}, Reason.IMAGE_NOT_FOUND, "nosuchimage"),
        ({"flavor": "nosuchflavor"}, Reason.FLAVOR_NOT_FOUND, "nosuchflavor"),
        (
            {"image": "00000000-0000-4000-8000-000000000000"},
            Reason.IMAGE_NOT_FOUND,
            "00000000-0000-4000-8000-000000000000",
        ),
        (
            {"port_id": "00000000-0000-4000-8000-000000000000"},
            Reason.BACKEND_REFUSED,
            "could not be found",
        ),
        ({"sealed_user_data": "bm90IHNlYWxlZA=="}, Reason.SECRET_UNREADABLE, "can't be opened"),
    ],
)
async def test_what_cannot_be_made_says_why(
    replica: Replica, fields: dict[str, Any], reason: Reason, words: str
) -> None:
    """The step fails at once, and nothing is made."""
    vm = replica.vm()
    await vm.port()
    with pytest.raises(PermanentError, match=words) as refused:
        await vm.server(**fields)
    assert refused.value.reason == reason
    assert not refused.value.problem().retryable
    assert await replica.held(vm) == ["port"]


async def test_user_data_sealed_to_another_key_is_unreadable(replica: Replica) -> None:
    """A secret that isn't for this worker stays one."""
    vm = replica.vm()
    await vm.port()
    sealed = seal(SealingKey.generate().public_key, b"#!/bin/sh\n")
    with pytest.raises(PermanentError) as refused:
        await vm.server(sealed_user_data=sealed)
    assert refused.value.reason == Reason.SECRET_UNREADABLE


async def test_over_novas_quota_says_so(world: World, replica: Replica) -> None:
    """With Nova's own words; what would fit an empty project may succeed later."""
    first, second = replica.vm("openlab"), replica.vm("openlab")
    await first.port()
    await second.port()
    await first.server()
    used = len(list(world.in_project("openlab").compute.servers()))
    with world.compute_quota("openlab", instances=used), pytest.raises(RefusedForNow) as over:
        await second.server()
    assert over.value.reason == Reason.QUOTA_EXCEEDED
    assert "Quota exceeded" in over.value.detail
    assert over.value.problem().retryable
    with world.compute_quota("openlab", ram=2047), pytest.raises(Refused) as too_large:
        await second.server(flavor="medium")  # has 2048
    assert too_large.value.reason == Reason.QUOTA_EXCEEDED
    assert not too_large.value.problem().retryable
    await first.remove()


async def test_an_image_that_was_made_anew_under_its_name_is_found(
    world: World, replica: Replica
) -> None:
    """What a name meant the last time is not taken for granted."""
    formats = {"disk_format": "raw", "container_format": "bare", "visibility": "public"}
    name = f"renewed-{replica.context.kit.marks.installation_id}"
    for _ in range(2):
        image = world.admin.image.create_image(name=name, data=b"x" * 512, wait=True, **formats)
        vm = replica.vm()
        await vm.port()
        await vm.server(image=name)
        server = world.admin.compute.get_server(vm.server_id)
        assert server.image.id == image.id
        await vm.remove()
        world.admin.image.delete_image(image)


async def test_no_valid_host_is_seen_with_novas_own_fault(replica: Replica) -> None:
    """Nova accepts the request and finds out later; the VM can then be undone."""
    vm = replica.vm()
    await vm.port()
    await vm.server(flavor="huge")
    seen = await vm.until(lambda seen: seen.server_status == "ERROR")
    assert seen.fault is not None
    assert seen.fault.reason == Reason.NO_VALID_HOST
    assert "No valid host" in (seen.fault.detail or "")
    assert seen.fault.retryable
    await vm.remove()
    assert await replica.held(vm) == []


async def test_a_build_that_breaks_is_seen_with_novas_own_fault(replica: Replica) -> None:
    """Not a matter of hosts: the reason says so."""
    vm = replica.vm()
    await vm.port()
    await vm.server(flavor="broken")
    seen = await vm.until(lambda seen: seen.server_status == "ERROR")
    assert seen.fault is not None
    assert seen.fault.reason in {Reason.BUILD_FAILED, Reason.NO_VALID_HOST}
    assert seen.fault.detail
    await vm.remove()
    assert await replica.held(vm) == []


async def test_deprovision_vm_by_id_by_tag_and_again(
    replica: Replica, other_replica: Replica
) -> None:
    """Known or not, made here or elsewhere, building or gone: it goes."""
    for remove_by, knows_id in ((replica, True), (other_replica, True), (other_replica, False)):
        vm = replica.vm()
        await vm.port()
        made = await vm.server(flavor="slow")
        message = DeprovisionVm(cloud=CLOUD, server_id=vm.server_id if knows_id else None)
        started = only(await vm.by(remove_by).do(message), VmDeletionStarted)
        assert started.server_id == made.server_id
        await vm.by(remove_by).until(lambda seen: seen.gone)
        only(await vm.by(remove_by).do(message), VmDeprovisioned)
        assert await replica.held(vm) == ["port"]
    never_made = replica.vm()
    only(await never_made.do(DeprovisionVm(cloud=CLOUD)), VmDeprovisioned)
    unknown = DeprovisionVm(cloud=CLOUD, server_id="00000000-0000-4000-8000-000000000000")
    only(await never_made.do(unknown), VmDeprovisioned)


async def test_deprovision_vm_removes_every_server_of_the_vm(
    world: World, replica: Replica, other_replica: Replica
) -> None:
    """Were there two for once, none is left."""
    vm = replica.vm()
    await vm.port()
    await vm.server()
    world.server_of_a_user("bigtop", replica.context.kit.marks.tags(vm.id))
    await vm.by(other_replica).do(DeprovisionVm(cloud=CLOUD, server_id=vm.server_id))
    await vm.until(lambda seen: seen.gone)
    assert await replica.held(vm) == ["port"]


async def test_servers_of_others_are_never_touched(world: World, other_replica: Replica) -> None:
    """Not by an id that isn't ours, and not those of another installation."""
    vm, marks = other_replica.vm(), other_replica.context.kit.marks
    tags = [tag.replace(marks.installation_id, "another") for tag in marks.tags(vm.id)]
    strangers = [world.server_of_a_user("bigtop", mine) for mine in ([], tags)]
    for server_id in (None, *strangers):
        message = DeprovisionVm(cloud=CLOUD, server_id=server_id)
        only(await vm.do(message), VmDeprovisioned)
    await vm.port()
    await vm.server(repeated=True)
    assert vm.server_id not in strangers
    for server_id in strangers:
        assert world.admin.compute.get_server(server_id).task_state != "deleting"
    await vm.remove()


async def test_nothing_is_made_after_the_deadline(replica: Replica) -> None:
    """A thread that comes late sends nothing."""
    vm = replica.vm()
    await vm.port()
    with pytest.raises(DeadlineExpired):
        await vm.do(DeprovisionVm(cloud=CLOUD), life=0)
    with pytest.raises(Refused):
        await vm.server(image="nosuchimage")
    assert await replica.held(vm) == ["port"]


async def test_a_tenant_without_a_project_on_the_cloud_is_refused(replica: Replica) -> None:
    """Neither an unknown tenant nor an unknown cloud reaches any cloud."""
    for tenant, cloud in (("nobody", CLOUD), ("bigtop", "elsewhere")):
        with pytest.raises(PermanentError) as refused:
            await replica.do("vm-1", DeprovisionVm(cloud=cloud), tenant=tenant)
        assert refused.value.reason == Reason.NO_CLOUD
