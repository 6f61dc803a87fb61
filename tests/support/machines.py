"""What is seen of machines from outside: on their consoles, in Ironic, Ceph, tgt and Neutron."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from colobus.client import Client
from colobus.models import CreateMachine, Phase, Resource
from devcloud.machines import ALL_MACHINES, Machine
from tests.integration.iscsi_worker.world import World
from tests.support.bare_metal import Console, Metal
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually_sync
from tests.support.waiting import waited

STORE, METAL = "rack", "lab"
#: Longer than a boot takes on a busy machine, in seconds.
BOOTS_WITHIN = 300


def machine_of(resource: Resource) -> Machine:
    """The machine that the resource is on."""
    name = resource.status.outputs["node"]
    return next(machine for machine in ALL_MACHINES if machine.name == name)


@contextmanager
def consoles(metal: Metal) -> Iterator[dict[str, Console]]:
    """What each machine says from now on, by its name."""
    yield {machine.name: Console(metal.site, machine) for machine in ALL_MACHINES}


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
    machine = next(one for one in ALL_MACHINES if one.name == node)
    assert metal.process(machine) is None
    assert world.images() == []
    assert "Target" not in world.tgtd.targets()
    assert world.tgtd.accounts() == []
    assert network.holds().counts == NOTHING


async def fails(client: Client, request: CreateMachine) -> Resource:
    """Ask for a machine that can't be had; return it when it has failed."""
    made = await client.create(request)
    return await waited(client, made.id, Phase.FAILED, timeout=BOOTS_WITHIN)


def words(resource: Resource) -> str:
    """Why it has failed."""
    assert resource.status.error is not None
    return str(resource.status.error.detail)
