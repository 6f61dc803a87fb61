"""Load balancers with floating IPs in the tenant's cloud: one is there as wanted, or nothing is.

Every call looks first, so it may be made again after being killed anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from openstack import exceptions

from .wanted_balancers import Balancer, Pool

WITHIN = 180.0
PAUSE = 0.5
#: The tag that tells how a load balancer was made; one that shall be otherwise is made anew.
SHAPE = "shape="


class CloudFailed(RuntimeError):
    """The cloud did not do it; the message says what."""


class BalancerCloud:
    """What a tenant has of load balancers.

    Args:
        connection: openstacksdk's, as the tenant.
        subnet: Returns the id of the subnet where addresses are; called when one is needed.
        external: The network of floating IPs, by name or id.
        served: Asked while waiting: whether to go on. Whoever deletes the cluster waits for that.
    """

    def __init__(
        self,
        connection: Any,
        subnet: Callable[[], str],
        external: str,
        served: Callable[[], bool] = lambda: True,
    ) -> None:
        self._served = served
        self._balancers = connection.load_balancer
        self._network = connection.network
        self._subnet = subnet
        self._external = external

    def ensure(self, wanted: Balancer) -> str:
        """Make it, or make it so, and return its floating IP.

        Raises:
            CloudFailed: Octavia failed, or took too long; or the cluster is about to be deleted.
            openstack.exceptions.SDKException: A call was refused; a quota is one reason.
        """
        found = self._only(wanted.name)
        if found is not None:
            found = self._settled(found.id)
        if found is not None and not self._is_so(found, wanted):
            self._delete(found)
            found = None
        if found is None:
            if not self._served():  # whoever deletes the cluster would find it on its way
                raise CloudFailed(f"{wanted.name} is not made: the cluster is to be deleted")
            made = self._balancers.create_load_balancer(**self._whole(wanted))
            found = self._settled(made.id)
            if found is None or found.provisioning_status != "ACTIVE":
                raise CloudFailed(f"Octavia did not make {wanted.name}")
        self._set_members(found, wanted)
        return self._floating_ip(found.vip_port_id, wanted.description)

    def remove(self, name: str, description: str) -> None:
        """Leave nothing of one; its floating IP goes first."""
        for address in self._network.ips(description=_of(description)):
            self._network.delete_ip(address)
        for found in self._named(name):
            settled = self._settled(found.id)
            if settled is not None:
                self._delete(settled)

    def names(self, prefix: str) -> dict[str, str]:
        """Return the load balancers whose names begin so, with their descriptions."""
        every = self._balancers.load_balancers()
        return {found.name: found.description for found in every if found.name.startswith(prefix)}

    def _named(self, name: str) -> list[Any]:
        found = list(self._balancers.load_balancers(name=name))
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def _only(self, name: str) -> Any:
        """Return the oldest of that name, and delete the others: none of them was told of."""
        first, *others = self._named(name) or [None]
        for other in others:
            if (settled := self._settled(other.id)) is not None:
                self._delete(settled)
        return first

    def _is_so(self, found: Any, wanted: Balancer) -> bool:
        return found.provisioning_status == "ACTIVE" and SHAPE + wanted.shape in found.tags

    def _settled(self, balancer: str) -> Any:
        """Wait until one takes orders, and return it; None: it is gone."""
        deadline = time.monotonic() + WITHIN
        while True:
            try:
                found = self._balancers.get_load_balancer(balancer)
            except exceptions.NotFoundException:
                return None
            if found.provisioning_status == "DELETED":
                return None
            if not found.provisioning_status.startswith("PENDING"):
                return found
            if time.monotonic() > deadline:
                raise CloudFailed(f"{found.name} is {found.provisioning_status} for too long")
            if not self._served():
                raise CloudFailed(f"{found.name} is left to who deletes the cluster")
            time.sleep(PAUSE)

    def _delete(self, found: Any) -> None:
        self._balancers.delete_load_balancer(found.id, cascade=True, ignore_missing=True)
        left = self._settled(found.id)
        if left is not None:
            raise CloudFailed(f"Octavia did not delete {left.name}: {left.provisioning_status}")

    def _whole(self, wanted: Balancer) -> dict[str, Any]:
        """Return what makes it in one call, with all that belongs to it."""
        listeners = []
        for listener in wanted.listeners:
            whole: dict[str, Any] = {
                "name": listener.name,
                "protocol": listener.protocol,
                "protocol_port": listener.port,
                "l7policies": [],
            }
            for route in listener.routes:
                if not route.host and not route.path:
                    whole.setdefault("default_pool", {"name": route.pool})
                    continue
                policy = {"action": "REDIRECT_TO_POOL", "redirect_pool": {"name": route.pool}}
                whole["l7policies"].append({**policy, "rules": _rules(route)})
            listeners.append(whole)
        pools = [
            {
                "name": pool.name,
                "protocol": pool.protocol,
                "lb_algorithm": "ROUND_ROBIN",
                "members": _members(pool, wanted),
            }
            for pool in wanted.pools
        ]
        return {
            "name": wanted.name,
            "description": wanted.description,
            "vip_subnet_id": self._subnet(),
            "tags": [SHAPE + wanted.shape],
            "listeners": listeners,
            "pools": pools,
        }

    def _set_members(self, found: Any, wanted: Balancer) -> None:
        pools = {pool.name: pool for pool in wanted.pools}
        for there in self._balancers.pools(loadbalancer_id=found.id):
            members = _members(pools[there.name], wanted)
            seen = {(each.address, each.protocol_port) for each in self._balancers.members(there)}
            if seen != {(each["address"], each["protocol_port"]) for each in members}:
                path = f"/lbaas/pools/{there.id}/members"
                exceptions.raise_from_response(self._balancers.put(path, json={"members": members}))
                left = self._settled(found.id)
                if left is None or left.provisioning_status != "ACTIVE":
                    # What is in error then is made anew by the next try.
                    raise CloudFailed(f"Octavia did not change the members of {wanted.name}")

    def _floating_ip(self, port: str, description: str) -> str:
        """Return the address on a port; one that is without a port, of a former one, is taken."""
        own = list(self._network.ips(description=_of(description)))
        for address in own:
            if address.port_id == port:
                return str(address.floating_ip_address)
        for address in own:
            if address.port_id is None:
                moved = self._network.update_ip(address, port_id=port)
                return str(moved.floating_ip_address)
        outside = self._network.find_network(self._external, ignore_missing=False)
        made = self._network.create_ip(
            floating_network_id=outside.id, port_id=port, description=_of(description)
        )
        return str(made.floating_ip_address)


def _of(description: str) -> str:
    """Return what the floating IP of a load balancer says of itself, which Magnum looks for."""
    return f"Floating IP for {description}"


def _members(pool: Pool, wanted: Balancer) -> list[dict[str, Any]]:
    return [
        {"name": f"{pool.name}_{node}"[:255], "address": node, "protocol_port": pool.node_port}
        for node in wanted.nodes
    ]


def _rules(route: Any) -> list[dict[str, str]]:
    """Return Octavia's rules for one route; all of them must hold."""
    rules = []
    if route.host.startswith("*."):
        rules.append({"type": "HOST_NAME", "compare_type": "ENDS_WITH", "value": route.host[1:]})
    elif route.host:
        rules.append({"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": route.host})
    if route.path:
        compare = "EQUAL_TO" if route.exact else "STARTS_WITH"
        rules.append({"type": "PATH", "compare_type": compare, "value": route.path})
    return rules
