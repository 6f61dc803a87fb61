"""What load balancers leave in the tenant's cloud when a cluster goes, and how it is removed.

Nothing of Magnum is imported here: its driver says how load balancers are listed and deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from . import cluster_network
from .wanted_balancers import INGRESS, SERVICE, prefix

#: Seconds that Octavia may take for what it has begun.
WITHIN = 180.0
PAUSE = 1.0


class Unsettled(RuntimeError):
    """Octavia has not ended what it had begun; the message says of which load balancer."""


def remove(
    cluster: str,
    project: str,
    network: Any,
    balancers: Callable[[], Iterable[Any]],
    delete_balancers: Callable[[], None],
    within: float = WITHIN,
) -> None:
    """Remove load balancers, their floating IPs and their network; nobody may make any meanwhile.

    A cluster without a network never had a load balancer, since that is made in it: then Octavia,
    which may not be there, is asked for nothing.

    Args:
        cluster: The cluster's uuid.
        project: Whose it is.
        network: openstacksdk's proxy of Neutron, as an administrator.
        balancers: Lists the project's load balancers, of other clusters too.
        delete_balancers: Deletes the cluster's, and waits for those that it has deleted. Octavia
            refuses it for one that is on its way.
        within: Seconds to wait until none is.

    Raises:
        Unsettled: One is on its way for too long.
        Exception: Whatever the cloud refuses; it may be called again.
    """
    if not cluster_network.exists(network, cluster, project):
        return
    _until_settled(cluster, balancers, within)
    delete_balancers()
    # Magnum looks for those on ports, which may be gone by then.
    for address in network.ips(project_id=project):
        if (address.description or "").endswith(f" from cluster {cluster}"):
            network.delete_ip(address)
    cluster_network.remove(network, cluster, project)


def _until_settled(cluster: str, balancers: Callable[[], Iterable[Any]], within: float) -> None:
    """Wait until Octavia works at none of the cluster's, and so takes orders for each."""
    deadline = time.monotonic() + within
    names = tuple(prefix(kind, cluster) for kind in (INGRESS, SERVICE))
    while pending := [
        f"{each.name} is {each.provisioning_status}"
        for each in balancers()
        if each.name.startswith(names) and each.provisioning_status.startswith("PENDING")
    ]:
        if time.monotonic() > deadline:
            raise Unsettled(f"for too long: {', '.join(pending)}")
        time.sleep(PAUSE)
