"""Load balancers without amphorae, for Octavia.

WHAT IS REPLACED: the servers (amphorae) that would carry traffic, and how they are plugged into
networks: Octavia's own doubles (`noop`) say yes to all of that. Everything else is Octavia itself:
API, policies, quotas, its worker's flows. The address is real too, so that a floating IP can be on
it: its port is made in Neutron, in the project of the load balancer, and removed with it, by the
driver that Octavia uses in production. No packet is ever carried, and nobody looks at members'
health: they stay as they are.
"""

import functools
import os

import sqlalchemy
from octavia.compute.drivers.noop_driver import driver as compute_double
from octavia.network.drivers.neutron.allowed_address_pairs import AllowedAddressPairsDriver
from octavia.network.drivers.noop_driver import driver as network_double

#: Where the doubles remember which amphora is plugged where. Theirs is one file in /tmp for all.
MEMORY_VARIABLE = "COLOBUS_DEVCLOUD_BALANCERS"


def _engine(url, **options):
    del url
    return sqlalchemy.create_engine(f"sqlite:///{os.environ[MEMORY_VARIABLE]}", **options)


compute_double.create_engine = network_double.create_engine = _engine


class ComputeDriver(compute_double.NoopComputeDriver):
    """Servers that are never made, and remembered in this cloud's own file."""


@functools.lru_cache(maxsize=1)
def _neutron():
    """Return the driver of production; making one asks Neutron for its extensions each time."""
    driver = AllowedAddressPairsDriver()
    # A group for each load balancer, in the project of services: nothing is behind the port.
    driver.sec_grp_enabled = False
    return driver


class NetworkDriver(network_double.NoopNetworkDriver):
    """Addresses of load balancers in Neutron; all that is plugged into them is not."""

    def allocate_vip(self, loadbalancer):
        """Make the port."""
        return _neutron().allocate_vip(loadbalancer)

    def deallocate_vip(self, vip):
        """Remove the port, unless somebody else made it."""
        _neutron().deallocate_vip(vip)

    def get_network(self, network_id, context=None):
        """Return a network, if whoever asks may see it."""
        return _neutron().get_network(network_id, context=context)

    def get_subnet(self, subnet_id, context=None):
        """Return a subnet, if whoever asks may see it."""
        return _neutron().get_subnet(subnet_id, context=context)

    def get_network_ip_availability(self, network):
        """Return how many addresses of a network are free."""
        return _neutron().get_network_ip_availability(network)
