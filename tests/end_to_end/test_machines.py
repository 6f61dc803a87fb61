"""Bare metal like a VM: diskless machines that boot from Ceph over iSCSI, on the real parts.

The hardware alone is emulated: the machines are QEMU's, their boards sushy-tools'. Ironic, Ceph,
tgt, Neutron, firmware and Linux are real.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from colobus.client import Client
from colobus.golden_images import GoldenImages
from colobus.models import CreateMachine, Phase, Reason, Resource
from devcloud.images import TinyImage
from devcloud.machines import MACHINES, Machine
from devcloud.nodes import RESOURCE_CLASS
from devcloud.provisioning import network_of
from tests.integration.iscsi_worker.world import World, make_world
from tests.support import devcloud
from tests.support.bare_metal import Console, Metal
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually, eventually_sync
from tests.support.installation import SERVICES, Installation, installation
from tests.support.installation import Metal as MetalEntry
from tests.support.waiting import waited
from tests.support.webhooks import Receiver

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces"),
]
QUOTAS = {"bigtop": {"machines": 4, "floating_ips": 2, "volume_gib": 60}}
STORE, METAL = "rack", "lab"
#: Patient: on a busy host an emulated processor may stand still for long.
NOP = "nop_interval=5,nop_count=12"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmkNdTYqVdHFiFwPyy3Rm0CvCDmZtHhCfIUeqhN8YyS"
SECRET_LINE = "a line that nobody else may read"
USER_DATA = f"#cloud-config\nwrite_files: [{{path: /etc/motd, content: {SECRET_LINE}}}]\n"
#: Longer than a boot takes on a busy machine, in seconds.
BOOTS_WITHIN = 300


@pytest.fixture(scope="module")
def metal(environment: dict[str, str]) -> Metal:
    """The operator's hands on Ironic and the machines."""
    devcloud.up("ceph", "bare-metal")
    return Metal()


@pytest.fixture(scope="module")
def world(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own in the machines' net."""
    address = network_of(metal.site).portal
    folder = tmp_path_factory.mktemp("store")
    with make_world(devcloud.up("ceph"), folder, address=address, nop=NOP) as made:
        yield made


@pytest.fixture(scope="module")
def tiny(metal: Metal, world: World) -> str:
    """A golden image with the smallest Linux there is."""
    name = f"{world.installation}-tiny"
    path = TinyImage(metal.site).build()
    with path.open("rb") as file:
        images = GoldenImages(world.rbd, world.pool)
        images.add(name, file, path.stat().st_size, replace=False, progress=lambda _: None)
    world.golden.append(name)
    return name


@pytest.fixture(scope="module")
def house(
    environment: dict[str, str], world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services with a metal; the worker's marks are those of `world`."""
    folder = tmp_path_factory.mktemp("machines")
    (access,) = world.stores().values()
    entry = MetalEntry({"store": STORE, "cloud": "devcloud"}, {"cloud": "devcloud-bare-metal"})
    with installation(
        environment, folder, QUOTAS, stores={STORE: access}, metals={METAL: entry}
    ) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker", "baremetal_worker")
        yield made


@pytest.fixture(scope="module")
def network(environment: dict[str, str], house: Installation) -> Iterator[Cloud]:
    """The tenants' networks as the administrator sees them."""
    seen = Cloud(environment, house.name)
    yield seen
    seen.clear()


@pytest.fixture
async def client(house: Installation, network: Cloud) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(house.url, token=house.tokens["bigtop"]) as made:
        yield made


def machine_of(resource: Resource) -> Machine:
    """The machine that the resource is on."""
    name = resource.status.outputs["node"]
    return next(machine for machine in MACHINES if machine.name == name)


@contextmanager
def consoles(metal: Metal) -> Iterator[dict[str, Console]]:
    """What each machine says from now on, by its name."""
    yield {machine.name: Console(metal.site, machine) for machine in MACHINES}


class Systems:
    """Who is logged in at the target, as tgtd itself says it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def of(self, resource: Resource) -> list[str]:
        """The aliases of those that are logged in to the machine's target."""
        shown = self._world.tgtd.targets().split("\nTarget ")
        mine = next((part for part in shown if resource.id in part.partition("\n")[0]), "")
        return [line.rpartition("alias: ")[2] for line in mine.splitlines() if "alias: " in line]


async def leaves_nothing(metal: Metal, world: World, network: Cloud, node: str) -> None:
    """The node is off and clean, and there is no clone, LUN, target, account, port, allocation."""

    def clean() -> bool:
        found = metal.ironic.get_node(node)
        return (found.provision_state, found.power_state) == ("available", "power off")

    await asyncio.to_thread(eventually_sync, clean, what=f"{node} is off and available")
    found = metal.ironic.get_node(node)
    assert not found.instance_info
    assert not found.allocation_id
    assert not found.is_maintenance
    assert "colobus" not in str(found.extra)
    assert [
        *metal.ironic.volume_targets(node=node),
        *metal.ironic.volume_connectors(node=node),
    ] == []
    assert list(metal.ironic.allocations()) == []
    machine = next(one for one in MACHINES if one.name == node)
    assert metal.process(machine) is None
    assert world.images() == []
    assert "Target" not in world.tgtd.targets()
    assert world.tgtd.accounts() == []
    assert network.holds().counts == NOTHING


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
    for one, name in zip(ids, names, strict=True):
        await waited(client, one, Phase.DELETED)
        del name
    for name in names:
        await leaves_nothing(metal, world, network, name)


async def _fails(client: Client, request: CreateMachine) -> Resource:
    made = await client.create(request)
    return await waited(client, made.id, Phase.FAILED, timeout=BOOTS_WITHIN)


async def test_a_blank_disk_never_makes_a_machine_active(
    client: Client, metal: Metal, world: World, network: Cloud
) -> None:
    """Ironic says active, the firmware logs in; both are told, and it fails at its deadline."""
    blank = world.make_golden(1 << 26)
    failed = await _fails(client, CreateMachine(image=blank, flavor=RESOURCE_CLASS, deadline=60))
    assert failed.status.reason == Reason.DEADLINE_EXCEEDED
    assert failed.status.error is not None
    assert "Ironic says active" in str(failed.status.error.detail) or "firmware" in str(
        failed.status.error.detail
    )
    await leaves_nothing(metal, world, network, machine_of(failed).name)


async def test_an_image_that_is_not_there_is_told(
    client: Client, world: World, network: Cloud
) -> None:
    """In the store's words, and the node that was reserved meanwhile goes back."""
    failed = await _fails(client, CreateMachine(image="debian-99", flavor=RESOURCE_CLASS))
    assert failed.status.reason == Reason.IMAGE_NOT_FOUND
    assert world.images() == []
    assert network.holds().counts == NOTHING


async def test_a_class_of_nodes_that_nobody_has_is_told(client: Client, tiny: str) -> None:
    """In Ironic's words."""
    failed = await _fails(client, CreateMachine(image=tiny, flavor="gold-plated"))
    assert failed.status.reason == Reason.NO_VALID_HOST
    assert failed.status.error is not None
    assert "gold-plated" in str(failed.status.error.detail)
