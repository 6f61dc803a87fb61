"""Bare metal like a VM: diskless machines that boot from Ceph over iSCSI, on the real parts.

The hardware alone is emulated: the machines are QEMU's, their boards sushy-tools'. Ironic, Ceph,
tgt, Neutron, firmware and Linux are real.
"""

from __future__ import annotations

import asyncio
import hashlib

from colobus.client import Client
from colobus.models import CreateMachine, Phase, Resource
from devcloud.nodes import RESOURCE_CLASS
from tests.integration.iscsi_worker.world import World
from tests.support.bare_metal import Console, Metal
from tests.support.cloud import Cloud
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.machines import (
    BOOTS_WITHIN,
    Systems,
    consoles,
    leaves_nothing,
    machine_of,
)
from tests.support.waiting import waited
from tests.support.webhooks import Receiver

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmkNdTYqVdHFiFwPyy3Rm0CvCDmZtHhCfIUeqhN8YyS"
SECRET_LINE = "a line that nobody else may read"
USER_DATA = f"#cloud-config\nwrite_files: [{{path: /etc/motd, content: {SECRET_LINE}}}]\n"


async def test_a_machine_from_post_to_its_first_login_and_back(
    client: Client,
    metal: Metal,
    world: World,
    network: Cloud,
    house: Installation,
    tiny: str,
    receiver: Receiver,
) -> None:
    """The same words as a VM's; active when its own system has logged in; nothing is left."""
    request = CreateMachine(
        image=tiny,
        flavor=RESOURCE_CLASS,
        name="builder-1",
        floating_ip=True,
        ssh_keys=(KEY,),
        user_data=USER_DATA,
        callback_url=receiver.url("/machine"),
    )
    with consoles(metal) as console:
        made = await client.create(request)
        machine = await waited(client, made.id, timeout=BOOTS_WITHIN)
        assert "tiny" in Systems(world).of(machine)  # the firmware's login may linger beside it
        said = await asyncio.to_thread(console[machine_of(machine).name].until, "] ready")
    assert metal.ironic.get_node(machine_of(machine).name).provision_state == "active"
    (floating_ip,) = network.holds(machine.id).floating_ips
    assert machine.status.outputs["floating_ip"] == floating_ip.floating_ip_address
    assert floating_ip.port_id == network.holds(machine.id).ports[0].id
    steps = [
        "iSCSI login done",
        "boot number 1 of this disk",
        f"config volume: instance-id: {machine.id}",
        f"sha256 {hashlib.sha256(KEY.split()[1].encode()).hexdigest()}",
    ]
    assert [step for step in steps if step not in said] == []
    shown = await client.get(made.id)
    assert "user_data" not in shown.spec
    await _reboots(client, metal, machine)
    await client.delete(machine.id)
    await waited(client, machine.id, Phase.DELETED)
    await leaves_nothing(metal, world, network, machine_of(machine).name)
    await receiver.until(lambda: any(r.phase == "deleted" for r in receiver.at("/machine")))
    logs = "".join(path.read_text(errors="replace") for path in house.folder.glob("*.log"))
    assert SECRET_LINE not in logs


async def _reboots(client: Client, metal: Metal, machine: Resource) -> None:
    """What was written is there afterwards: the boots are counted on the disk."""
    console = Console(metal.site, machine_of(machine))
    await client.reboot(machine.id)
    said = await asyncio.to_thread(console.until, "] ready")
    assert "boot number 2 of this disk" in said

    async def done() -> bool:
        (operation,) = (await client.get(machine.id)).status.operations
        assert operation.state != "failed", operation
        return operation.state == "done"

    await eventually(done, what="the reboot is told as done")


async def test_a_system_whose_image_says_so_is_proven_by_its_call(
    client: Client, metal: Metal, world: World, network: Cloud, phoning: str
) -> None:
    """It finds the number on its second disk, and calls the worker that wrote it."""
    with consoles(metal) as console:
        made = await client.create(CreateMachine(image=phoning, flavor=RESOURCE_CLASS))
        machine = await waited(client, made.id, timeout=BOOTS_WITHIN)
        name = machine_of(machine).name
        said = await asyncio.to_thread(console[name].until, "phoned home: HTTP/")
    assert "phone-home" not in said  # nor does its console tell the number
    await client.delete(made.id)
    await waited(client, made.id, Phase.DELETED)
    await leaves_nothing(metal, world, network, name)


async def test_two_machines_of_one_image_do_not_see_each_other(
    client: Client, metal: Metal, world: World, network: Cloud, tiny: str
) -> None:
    """Each has a copy of its own, on a node of its own."""
    request = CreateMachine(image=tiny, flavor=RESOURCE_CLASS)
    with consoles(metal) as console:
        ids = [(await client.create(request)).id for _ in range(2)]
        machines = [await waited(client, one, timeout=BOOTS_WITHIN) for one in ids]
        names = [machine_of(machine).name for machine in machines]
        assert len(set(names)) == 2
        for name in names:
            said = await asyncio.to_thread(console[name].until, "] ready")
            assert "boot number 1 of this disk" in said
    for one in ids:
        await client.delete(one)
    for one in ids:
        await waited(client, one, Phase.DELETED)
    for name in names:
        await leaves_nothing(metal, world, network, name)
