"""Fifty machines at once: from POST to active and back to nothing, each on a node of its own.

Ironic, Ceph, tgt and all of Colobus are real. The nodes are Ironic's fake hardware, and what is
behind them is a double that holds the session of each machine's system
(`devcloud.stand_ins.fake_machines`): nothing boots. Real boots are in ``machines/``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from colobus.client import Client
from colobus.models import CreateMachine, Phase, Resource
from tests.integration.iscsi_worker.world import World, make_world
from tests.support import devcloud
from tests.support.conditions import eventually
from tests.support.fake_machines import FakeMachines, fake_machines
from tests.support.installation import SERVICES, Installation, installation
from tests.support.installation import Metal as MetalEntry
from tests.support.waiting import waited

STORE, METAL = "rack", "lab"
FIFTY = 50
QUOTAS = {"bigtop": {"machines": FIFTY, "volume_gib": 1000}}
#: Patient: on a busy host the double may stand still for a while.
NOP = "nop_interval=5,nop_count=12"
#: Longer than all fifty take on a busy machine, in seconds.
WITHIN = 400


@pytest.fixture(scope="module")
def world(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own."""
    environment = {**environment, **devcloud.up("ceph", "tgt", "ironic")}
    with make_world(environment, tmp_path_factory.mktemp("store"), nop=NOP) as made:
        yield made


@pytest.fixture(scope="module")
def house(
    environment: dict[str, str], world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, with a metal that has no tenants' networks."""
    (access,) = world.stores().values()
    entry = MetalEntry({"store": STORE}, {"cloud": "devcloud-bare-metal"})
    extra = {"scheduler": {"COLOBUS_MAX_BUILDING": str(FIFTY)}}
    folder = tmp_path_factory.mktemp("fifty")
    with installation(
        environment, folder, QUOTAS, extra, stores={STORE: access}, metals={METAL: entry}
    ) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker", "baremetal_worker")
        yield made


@pytest.fixture(scope="module")
def fifty(house: Installation) -> Iterator[FakeMachines]:
    """The nodes, and what is behind them."""
    with fake_machines(house.name, FIFTY, house.folder) as made:
        yield made


@pytest.fixture
async def client(house: Installation) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(house.url, token=house.tokens["bigtop"]) as made:
        yield made


async def _at_once(
    client: Client, world: World, machines: FakeMachines, count: int
) -> list[Resource]:
    """Ask for so many at once; return them when all are active."""
    request = CreateMachine(image=world.make_golden(1 << 26), flavor=machines.flavor)
    made = await asyncio.gather(*(client.create(request) for _ in range(count)))
    return await asyncio.gather(*(waited(client, one.id, timeout=WITHIN) for one in made))


async def _are_whole(world: World, machines: FakeMachines, made: list[Resource]) -> None:
    """Each has a node that is no other's, on from its own disk, and one system logged in to it."""
    nodes = {node.name: node for node in await asyncio.to_thread(machines.nodes)}
    reserved = await asyncio.to_thread(machines.reserved)
    assert Counter(one.status.outputs["node"] for one in made).most_common(1)[0][1] == 1
    text = await asyncio.to_thread(world.tgtd.targets)
    for one in made:
        node = nodes[one.status.outputs["node"]]
        assert (node.provision_state, node.power_state) == ("active", "power on")
        assert reserved[node.instance_id] == one.id
        (shown,) = [part for part in text.split("\nTarget ") if f".{one.id}\n" in part]
        assert shown.count("I_T nexus:") == 1
        assert f"alias: {node.name}\n" in shown


async def _give_back(
    client: Client, world: World, machines: FakeMachines, made: list[Resource]
) -> None:
    """Delete them all at once: every node is clean, and nothing is left anywhere."""
    await asyncio.gather(*(client.delete(one.id) for one in made))
    await asyncio.gather(*(waited(client, one.id, Phase.DELETED, timeout=WITHIN) for one in made))
    assert await asyncio.to_thread(machines.held) == []
    assert world.images() == []
    assert "Target" not in world.tgtd.targets()
    assert world.tgtd.accounts() == []


async def test_fifty_at_once_each_on_a_node_of_its_own(
    client: Client, world: World, fifty: FakeMachines
) -> None:
    """As many machines as there are nodes: all active, none handed out twice, all given back."""
    made = await _at_once(client, world, fifty, FIFTY)
    await _are_whole(world, fifty, made)
    await _give_back(client, world, fifty, made)


async def test_a_machine_that_is_off_is_not_logged_in(
    client: Client, world: World, fifty: FakeMachines
) -> None:
    """The double follows the power switch: off is gone, on logs in anew, so does a reboot."""
    made = await _at_once(client, world, fifty, 3)
    await _are_whole(world, fifty, made)
    (one, *_others) = made

    async def sessions() -> int:
        text = await asyncio.to_thread(world.tgtd.targets)
        (shown,) = [part for part in text.split("\nTarget ") if f".{one.id}\n" in part]
        return shown.count("I_T nexus:")

    await client.stop(one.id)

    async def gone() -> bool:
        return await sessions() == 0

    await eventually(gone, within=WITHIN, what="its session is gone")
    await client.start(one.id)

    async def back() -> bool:
        return await sessions() == 1

    await eventually(back, within=WITHIN, what="it is logged in again")
    await _give_back(client, world, fifty, made)
