"""The network that a cluster's load balancers have their addresses in.

A cluster of servers has one from its making on. Here nothing but load balancers is in it, so it is
made with the first of them, and removed by Magnum's driver with the cluster.
"""

from __future__ import annotations

from typing import Any

#: What Magnum gives to a cluster of which nobody said otherwise (its `fixed_subnet_cidr`).
RANGE = "10.0.0.0/24"


def network_name(cluster: str) -> str:
    """Return what the network, its subnet and its router are called."""
    return f"kube_{cluster}"


def ensure(network: Any, cluster: str, external: str) -> str:
    """Make what is missing, and return the subnet's id.

    Args:
        network: openstacksdk's proxy of Neutron, as the tenant.
        cluster: The cluster's uuid.
        external: The network of floating IPs.
    """
    name = network_name(cluster)
    outside = network.find_network(external, ignore_missing=False)
    inside = next(network.networks(name=name), None) or network.create_network(name=name)
    subnet = next(network.subnets(name=name), None) or network.create_subnet(
        name=name, network_id=inside.id, ip_version=4, cidr=RANGE, is_dhcp_enabled=False
    )
    router = next(network.routers(name=name), None) or network.create_router(
        name=name, external_gateway_info={"network_id": outside.id}
    )
    if not list(network.ports(device_id=router.id, network_id=inside.id)):
        network.add_interface_to_router(router, subnet_id=subnet.id)
    return str(subnet.id)


def exists(network: Any, cluster: str, project: str) -> bool:
    """Tell whether there is any of it; the network is the first to be made, and the last to go.

    Args:
        network: openstacksdk's proxy of Neutron, as an administrator.
        cluster: The cluster's uuid.
        project: Whose it is.
    """
    return bool(list(network.networks(name=network_name(cluster), project_id=project)))


def remove(network: Any, cluster: str, project: str) -> None:
    """Remove all of it that is there.

    Args:
        network: openstacksdk's proxy of Neutron, as an administrator.
        cluster: The cluster's uuid.
        project: Whose it is.
    """
    known = {"name": network_name(cluster), "project_id": project}
    subnets = list(network.subnets(**known))
    for router in network.routers(**known):
        for subnet in subnets:
            if list(network.ports(device_id=router.id, network_id=subnet.network_id)):
                network.remove_interface_from_router(router, subnet_id=subnet.id)
        network.delete_router(router)
    for found in network.networks(**known):
        network.delete_network(found)
