"""Load balancers, floating IPs and networks of one tenant, as its user sees them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openstack

from devcloud.components.mariadb import client
from devcloud.site import Site


@dataclass(frozen=True)
class Seen:
    """One load balancer with all that belongs to it."""

    name: str
    status: str
    project: str
    #: The floating IPs on the port of its address.
    floating_ips: tuple[str, ...]
    #: Protocol and port.
    listeners: tuple[tuple[str, int], ...]
    #: Address and port.
    members: tuple[tuple[str, int], ...]


class TenantNetwork:
    """What one person sees of Octavia and Neutron."""

    def __init__(self, environment: dict[str, str], person: str) -> None:
        config = openstack.config.OpenStackConfig(
            config_files=[environment["OS_CLIENT_CONFIG_FILE"]]
        ).get_one(cloud=person)
        self._cloud: Any = openstack.connection.Connection(config=config)

    @property
    def project(self) -> str:
        """Return the project's id."""
        return str(self._cloud.current_project_id)

    def balancer(self, name: str) -> Seen:
        """Return the one load balancer of that name."""
        octavia = self._cloud.load_balancer
        (found,) = octavia.load_balancers(name=name)
        port = self._cloud.network.get_port(found.vip_port_id)
        assert port.fixed_ips[0]["ip_address"] == found.vip_address
        addresses = self._cloud.network.ips(port_id=port.id)
        members = [
            (member.address, member.protocol_port)
            for pool in octavia.pools(loadbalancer_id=found.id)
            for member in octavia.members(pool)
        ]
        listeners = octavia.listeners(load_balancer_id=found.id)
        return Seen(
            name=found.name,
            status=found.provisioning_status,
            project=found.project_id,
            floating_ips=tuple(address.floating_ip_address for address in addresses),
            listeners=tuple(sorted((each.protocol, each.protocol_port) for each in listeners)),
            members=tuple(sorted(members)),
        )

    def look(self, name: str) -> Seen | None:
        """Return the load balancer of that name; None while there is none, as between two."""
        if not list(self._cloud.load_balancer.load_balancers(name=name)):
            return None
        try:
            return self.balancer(name)
        except (ValueError, openstack.exceptions.NotFoundException):  # it goes this moment
            return None

    def balancers(self, cluster: str) -> list[str]:
        """Return what a cluster has of load balancers and of floating IPs, and their ports."""
        octavia, neutron = self._cloud.load_balancer, self._cloud.network
        return [
            *(each.name for each in octavia.load_balancers() if cluster in each.name),
            *(each.description for each in neutron.ips() if cluster in each.description),
            *(
                each.name
                for net in neutron.networks(name=f"kube_{cluster}")
                for each in neutron.ports(network_id=net.id, device_owner="Octavia")
            ),
        ]

    def leftovers(self, cluster: str, asked_by: Any = None) -> list[str]:
        """Return all that a cluster has in the cloud, its network and its credential included.

        ``asked_by``: the connection of the user who asked for the cluster, for the credential is
        that user's; this person, where it isn't given.
        """
        neutron, asker = self._cloud.network, asked_by or self._cloud
        kinds = (neutron.networks(), neutron.subnets(), neutron.routers())
        found = [each.name for kind in kinds for each in kind if cluster in each.name]
        return [*self.balancers(cluster), *found, *credentials(asker, cluster)]


def credentials(connection: Any, cluster: str = "") -> list[str]:
    """Return the names of the user's application credentials: of one cluster, or all."""
    found = connection.identity.application_credentials(connection.current_user_id)
    return [one.name for one in found if cluster in one.name]


@contextmanager
def unfinished(site: Site, balancer_id: str) -> Iterator[None]:
    """Hold a load balancer's row, so that nobody can finish it however fast the machine is.

    Octavia waits for it for 50 s, as InnoDB does by default.
    """
    held = f"SELECT id FROM octavia.load_balancer WHERE id = '{balancer_id}' FOR UPDATE"
    argv = [*client(site), "--skip-column-names", "--batch", "--unbuffered"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as session:
        assert session.stdin
        assert session.stdout
        session.stdin.write(f"BEGIN; {held};\n")
        session.stdin.flush()
        assert session.stdout.readline().strip() == balancer_id
        yield
