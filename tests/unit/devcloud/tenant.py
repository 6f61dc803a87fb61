"""A tenant's cloud in memory: as much of Octavia and Neutron as load balancers are made with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from openstack import exceptions


class Octavia:
    """Load balancers that are on their way until they are looked at once more.

    `outcomes` are the statuses that the next orders end with; then all end well.
    """

    def __init__(self, neutron: Neutron) -> None:
        self.neutron = neutron
        self.there: dict[str, Any] = {}
        self.outcomes: list[str] = []
        self._members: dict[str, list[Any]] = {}
        self._numbers = itertools.count(1)

    def create_load_balancer(self, **whole: Any) -> Any:
        """Begin to make one, with all that belongs to it."""
        number = str(next(self._numbers))
        made = SimpleNamespace(id=number, created_at=number, vip_port_id=f"port-{number}", **whole)
        self.there[number] = made
        for pool in whole["pools"]:
            self._set(f"{number}/{pool['name']}", pool["members"])
        return self._begin(made, "PENDING_CREATE")

    def delete_load_balancer(self, which: str, cascade: bool, ignore_missing: bool) -> None:
        """Remove one at once."""
        assert cascade
        assert ignore_missing
        if self.there[which].provisioning_status.startswith("PENDING"):
            raise exceptions.ConflictException(f"{which} is immutable")
        self.neutron.forget_port(self.there.pop(which).vip_port_id)

    def load_balancers(self, name: str | None = None) -> list[Any]:
        """List them; who is listed gets no further by that."""
        return [each for each in self.there.values() if name in (None, each.name)]

    def get_load_balancer(self, which: str) -> Any:
        """Return one as it is, after which it has ended what it was told."""
        if which not in self.there:
            raise exceptions.NotFoundException(which)
        seen = SimpleNamespace(**vars(self.there[which]))
        self.there[which].provisioning_status = self.there[which].ends
        return seen

    def pools(self, loadbalancer_id: str) -> Iterable[Any]:
        """List the pools of one."""
        for pool in self.there[loadbalancer_id].pools:
            yield SimpleNamespace(id=f"{loadbalancer_id}/{pool['name']}", name=pool["name"])

    def members(self, pool: Any) -> list[Any]:
        """List the members of a pool."""
        return self._members[pool.id]

    def put(self, path: str, json: dict[str, Any]) -> Any:
        """Begin to change the members of a pool."""
        pool = path.removeprefix("/lbaas/pools/").removesuffix("/members")
        self._set(pool, json["members"])
        self._begin(self.there[pool.partition("/")[0]], "PENDING_UPDATE")
        return SimpleNamespace(status_code=202, headers={})

    def nodes(self, which: str) -> set[str]:
        """Return the addresses of all members of one."""
        return {each.address for pool in self.pools(which) for each in self.members(pool)}

    def _set(self, pool: str, members: list[dict[str, Any]]) -> None:
        self._members[pool] = [SimpleNamespace(**member) for member in members]

    def _begin(self, balancer: Any, status: str) -> Any:
        balancer.provisioning_status = status
        balancer.ends = self.outcomes.pop(0) if self.outcomes else "ACTIVE"
        return SimpleNamespace(**vars(balancer))


class Neutron:
    """Networks that somebody has made, and floating IPs."""

    def __init__(self, *networks: str) -> None:
        self.names = list(networks)
        self.addresses: list[Any] = []

    def find_network(self, name: str, ignore_missing: bool) -> Any:
        """Return the network of floating IPs."""
        assert not ignore_missing
        return SimpleNamespace(id=name)

    def networks(self, name: str, project_id: str) -> list[Any]:
        """List networks of a name."""
        del project_id
        return [SimpleNamespace(name=each) for each in self.names if each == name]

    def delete_network(self, network: Any) -> None:
        """Remove a network."""
        self.names.remove(network.name)

    def subnets(self, **known: str) -> list[Any]:
        """List none: they go with their network."""
        del known
        return []

    def routers(self, **known: str) -> list[Any]:
        """List none."""
        del known
        return []

    def ips(self, description: str | None = None, project_id: str = "") -> list[Any]:
        """List floating IPs."""
        del project_id
        return [each for each in self.addresses if description in (None, each.description)]

    def create_ip(self, floating_network_id: str, port_id: str, description: str) -> Any:
        """Make one on a port."""
        del floating_network_id
        address = f"203.0.113.{len(self.addresses) + 1}"
        made = SimpleNamespace(
            floating_ip_address=address, port_id=port_id, description=description
        )
        self.addresses.append(made)
        return made

    def update_ip(self, address: Any, port_id: str) -> Any:
        """Move one to another port."""
        address.port_id = port_id
        return address

    def forget_port(self, port: str) -> None:
        """Leave the floating IP of a port that goes without one."""
        for address in self.addresses:
            if address.port_id == port:
                address.port_id = None

    def delete_ip(self, address: Any) -> None:
        """Remove one."""
        self.addresses.remove(address)
