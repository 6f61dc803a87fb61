"""A VM from POST to webhook and back to nothing."""

from __future__ import annotations

import base64
from contextlib import aclosing

import aiohttp

from colobus.client import Client
from colobus.models import CreateVm, OperationState, Phase, StepState
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.waiting import waited
from tests.support.webhooks import Receiver

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiUmVJjTTUgkLHEqkQqGvJcTxJdmOZpqFaXhVn5xJXo alice"


async def test_a_vm_from_post_to_webhook_and_back(
    colobus: Installation, cloud: Cloud, bigtop: Client, receiver: Receiver
) -> None:
    """202 and Location; found at once; every step on the stream; proven; told; and gone."""
    body = {
        "image": "debian-12",
        "flavor": "small",
        "floating_ip": True,
        "name": "life",
        "labels": {"job": "1"},
        "callback_url": receiver.url("/life"),
    }
    headers = {"Authorization": f"Bearer {colobus.tokens['bigtop']}"}
    async with aiohttp.ClientSession(colobus.url, headers=headers) as session:
        async with session.post("/v1/vms", json=body) as response:
            assert response.status == 202, await response.text()
            location, accepted = response.headers["Location"], await response.json()
        async with session.get(location) as response:
            assert response.status == 200
            assert (await response.json())["id"] == accepted["id"]

        phases, steps = await _follow(bigtop, accepted["id"])
        assert phases[-1] is Phase.ACTIVE
        assert {"port", "server", "floating_ip"} <= steps

        holdings = cloud.holds(accepted["id"])
        (server,), (port,), (ip,) = holdings.servers, holdings.ports, holdings.floating_ips
        assert (server["status"], port.status, ip.port_id) == ("ACTIVE", "ACTIVE", port.id)
        vm = await bigtop.get(accepted["id"])
        assert vm.status.outputs["server_id"] == server["id"]
        assert vm.status.outputs["floating_ip"] == ip.floating_ip_address
        assert vm.status.outputs["addresses"] == [port.fixed_ips[0]["ip_address"]]
        assert all(step.finished_at for step in vm.status.steps)

        await receiver.until(lambda: any(r.phase == "active" for r in receiver.at("/life")))
        secret = await bigtop.webhooks.callback_secret()
        (told,) = [one for one in receiver.at("/life") if one.phase == "active"]
        assert told.is_signed_with(secret)
        assert told.event["subject"] == vm.id
        assert not told.is_signed_with("whsec_" + base64.b64encode(b"x" * 32).decode())

    await bigtop.delete(vm.id)
    await waited(bigtop, vm.id, Phase.DELETED, timeout=120)
    assert cloud.holds(vm.id).counts == NOTHING
    await receiver.until(lambda: any(r.phase == "deleted" for r in receiver.at("/life")))


async def _follow(client: Client, vm: str) -> tuple[list[Phase], set[str]]:
    """Read the stream until active: the phases, and the steps that were seen done."""
    phases: list[Phase] = []
    done: set[str] = set()
    async with aclosing(client.events(vm)) as events:
        async for event in events:
            if event.resource is None:
                continue
            status = event.resource.status
            phases.append(status.phase)
            done |= {step.name for step in status.steps if step.state is StepState.DONE}
            if status.phase in {Phase.ACTIVE, Phase.FAILED}:
                break
    return phases, done


async def test_keys_and_user_data_reach_the_server_and_nothing_else(
    colobus: Installation, cloud: Cloud, bigtop: Client
) -> None:
    """Both are in the server's cloud-config; the user data is in no answer and no log."""
    secret = "hunter2-in-user-data"
    request = CreateVm(
        image="debian-12",
        flavor="small",
        ssh_keys=(KEY,),
        user_data=f"#cloud-config\nruncmd: [echo {secret}]\n",
    )
    vm = await bigtop.create_vm(request)
    active = await waited(bigtop, vm.id, timeout=120)
    (server,) = cloud.holds(vm.id).servers
    shown = cloud.admin.compute.get(f"/servers/{server['id']}", microversion="2.79").json()
    user_data = base64.b64decode(shown["server"]["OS-EXT-SRV-ATTR:user_data"]).decode()
    assert KEY in user_data
    assert secret in user_data
    assert "user_data" not in active.spec
    for service in colobus.processes:
        assert secret not in colobus.log(service).read_text()
    await bigtop.delete(vm.id)
    await waited(bigtop, vm.id, Phase.DELETED, timeout=120)


async def test_power_actions_are_seen_done(cloud: Cloud, bigtop: Client) -> None:
    """Stop, start and reboot are operations of a VM that stays active."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="small"))
    await waited(bigtop, vm.id, timeout=120)
    acts = ((bigtop.stop, "SHUTOFF"), (bigtop.start, "ACTIVE"), (bigtop.reboot, "ACTIVE"))
    for count, (act, state) in enumerate(acts, start=1):
        await act(vm.id)
        await _until_done(bigtop, vm.id, count)
        (server,) = cloud.holds(vm.id).servers
        assert server["status"] == state
    current = await bigtop.get(vm.id)
    assert [one.verb for one in current.status.operations] == ["stop", "start", "reboot"]
    assert current.status.phase is Phase.ACTIVE
    await bigtop.delete(vm.id)
    await waited(bigtop, vm.id, Phase.DELETED, timeout=120)


async def _until_done(client: Client, vm: str, count: int) -> None:
    async def done() -> bool:
        operations = (await client.get(vm)).status.operations
        assert all(one.state is not OperationState.FAILED for one in operations), operations
        return [one.state for one in operations] == [OperationState.DONE] * count

    await eventually(done, what=f"{count} operations are done")


async def test_another_tenants_vm_does_not_exist(
    colobus: Installation, bigtop: Client, openlab: Client
) -> None:
    """404 for every verb; it is in no list."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="small"))
    await waited(bigtop, vm.id, timeout=120)
    headers = {"Authorization": f"Bearer {colobus.tokens['openlab']}"}
    calls: list[tuple[str, str, object]] = [
        ("GET", f"/v1/vms/{vm.id}", None),
        ("DELETE", f"/v1/vms/{vm.id}", None),
        ("PATCH", f"/v1/vms/{vm.id}", {"labels": {}}),
        ("POST", f"/v1/vms/{vm.id}/stop", None),
        ("POST", f"/v1/vms/{vm.id}/extend", {"ttl": 60}),
        ("GET", f"/v1/vms/{vm.id}/events", None),
    ]
    async with aiohttp.ClientSession(colobus.url, headers=headers) as session:
        for method, path, body in calls:
            async with session.request(method, path, json=body) as response:
                assert response.status == 404, (method, path, await response.text())
    assert vm.id not in [one.id async for one in openlab.list("vm")]
    assert (await bigtop.get(vm.id)).status.phase is Phase.ACTIVE
    await bigtop.delete(vm.id)
    await waited(bigtop, vm.id, Phase.DELETED, timeout=120)
