from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.contract.messages import CensusTaken, TakeCensus
from tests.end_to_end.vm_worker.world import CLOUD, Replica, World, only


def parts(world: World, tenant: str) -> dict[str, list[Any]]:
    mine = {"project_id": world.projects[tenant], "name": "colobus-default"}
    return {
        "networks": list(world.admin.network.networks(**mine)),
        "subnets": list(world.admin.network.subnets(**mine)),
        "routers": list(world.admin.network.routers(**mine)),
    }


def take_away(world: World, tenant: str) -> None:
    for port in world.admin.network.ports(project_id=world.projects[tenant]):
        if port.device_owner == "network:router_interface":
            world.admin.network.remove_interface_from_router(port.device_id, port_id=port.id)
        else:
            world.admin.network.delete_port(port)
    found = parts(world, tenant)
    for router in found["routers"]:
        world.admin.network.delete_router(router)
    for network in found["networks"]:
        world.admin.network.delete_network(network)


async def test_five_at_once_make_one_default_network(world: World, replica: Replica) -> None:
    """Network, subnet and router, each once, marked, and leading outside."""
    take_away(world, "openlab")
    ports = await asyncio.gather(*(replica.vm("openlab").port() for _ in range(5)))
    found = parts(world, "openlab")
    assert {name: len(things) for name, things in found.items()} == {
        "networks": 1,
        "subnets": 1,
        "routers": 1,
    }
    tags = set(replica.context.kit.marks.tags())
    for (thing,) in found.values():
        assert set(thing.tags) == tags
    (network,), (subnet,), (router,) = found.values()
    assert {port.network_id for port in ports} == {network.id}
    assert subnet.cidr == "10.77.0.0/20"
    external = world.admin.network.find_network("external")
    assert router.external_gateway_info["network_id"] == external.id
    interfaces = list(world.admin.network.ports(device_id=router.id, network_id=network.id))
    assert len(interfaces) == 1


async def test_two_replicas_at_once_end_with_one_default_network(
    world: World, replica: Replica, other_replica: Replica
) -> None:
    """Who comes second takes its own away; both put their ports on the one that stays."""
    take_away(world, "openlab")
    replicas = (replica, other_replica) * 2
    made = await asyncio.gather(
        *(one.vm("openlab").port() for one in replicas), return_exceptions=True
    )
    again = [
        await one.vm("openlab").port() if isinstance(port, BaseException) else port
        for one, port in zip(replicas, made, strict=True)
    ]
    found = parts(world, "openlab")
    assert len({port.network_id for port in again}) == 1
    assert [network.id for network in found["networks"]] == [again[0].network_id]
    assert len(found["routers"]) == 1


async def test_of_two_default_networks_the_one_with_a_way_out_stays(
    world: World, other_replica: Replica
) -> None:
    """Two replicas made one each in the same second: the router has room for one of them only."""
    take_away(world, "openlab")
    marks, network = other_replica.context.kit.marks, world.in_project("openlab").network
    ours: dict[str, Any] = {"name": "colobus-default", "description": marks.description()}
    made = [network.create_network(**ours) for _ in range(2)]
    subnets = [
        network.create_subnet(network_id=one.id, ip_version=4, cidr="10.77.0.0/20", **ours)
        for one in made
    ]
    external = world.admin.network.find_network("external")
    router = network.create_router(external_gateway_info={"network_id": external.id}, **ours)
    network.add_interface_to_router(router, subnet_id=subnets[1].id)
    port = await other_replica.vm("openlab").port()
    assert port.network_id == made[1].id
    assert [one.id for one in parts(world, "openlab")["networks"]] == [made[1].id]


@pytest.mark.parametrize("leading", [0, 1])
async def test_of_two_default_routers_the_one_that_leads_to_the_network_stays(
    world: World, replica: Replica, other_replica: Replica, leading: int
) -> None:
    """Whichever is older: two replicas made one each in the same second, and each took its own."""
    take_away(world, "openlab")
    before = await replica.vm("openlab").port()
    (subnet,) = parts(world, "openlab")["subnets"]
    network, (first,) = world.in_project("openlab").network, parts(world, "openlab")["routers"]
    network.remove_interface_from_router(first, subnet_id=subnet.id)
    external = world.admin.network.find_network("external")
    second = network.create_router(
        name="colobus-default",
        description=other_replica.context.kit.marks.description(),
        external_gateway_info={"network_id": external.id},
    )
    leads = (first, second)[leading]
    network.add_interface_to_router(leads, subnet_id=subnet.id)
    after = await other_replica.vm("openlab").port()
    assert after.network_id == before.network_id
    assert [one.id for one in parts(world, "openlab")["routers"]] == [leads.id]


async def test_a_census_takes_away_what_the_loser_of_a_race_left(
    world: World, replica: Replica
) -> None:
    """Killed before it could; nobody needs the network for now, and who has it remembers it."""
    take_away(world, "openlab")
    kept = await replica.vm("openlab").port()
    (router,) = parts(world, "openlab")["routers"]
    marks, network = replica.context.kit.marks, world.in_project("openlab").network
    ours: dict[str, Any] = {"name": "colobus-default", "description": marks.description()}
    external = world.admin.network.find_network("external")
    network.create_network(**ours)
    network.create_router(external_gateway_info={"network_id": external.id}, **ours)
    only(await replica.do("vm_worker/devcloud", TakeCensus(place=CLOUD)), CensusTaken)
    found = parts(world, "openlab")
    assert [one.id for one in found["networks"]] == [kept.network_id]
    assert [one.id for one in found["routers"]] == [router.id]


async def test_a_default_network_that_was_left_half_made_is_completed(
    world: World, other_replica: Replica
) -> None:
    """A worker killed after its first call leaves something that the next one goes on with."""
    take_away(world, "openlab")
    marks = other_replica.context.kit.marks
    half = world.in_project("openlab").network.create_network(
        name="colobus-default", description=marks.description()
    )
    port = await other_replica.vm("openlab").port()
    assert port.network_id == half.id
    found = parts(world, "openlab")
    assert {name: len(things) for name, things in found.items()} == {
        "networks": 1,
        "subnets": 1,
        "routers": 1,
    }
    assert set(found["networks"][0].tags) == set(marks.tags())


async def test_a_default_network_that_was_deleted_is_made_again(
    world: World, replica: Replica
) -> None:
    """Somebody may take it away while we remember it."""
    before = await replica.vm("openlab").port()
    take_away(world, "openlab")
    after = await replica.vm("openlab").port()
    assert after.network_id != before.network_id


async def test_a_network_of_the_same_name_that_is_not_ours_is_left_alone(
    world: World, other_replica: Replica
) -> None:
    """Only what carries our mark is our default network."""
    take_away(world, "openlab")
    stranger = world.in_project("openlab").network.create_network(name="colobus-default")
    port = await other_replica.vm("openlab").port()
    assert port.network_id != stranger.id
    assert world.admin.network.get_network(stranger.id)
    world.admin.network.delete_network(stranger)
