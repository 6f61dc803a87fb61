"""A network without wires, for Neutron.

WHAT IS REPLACED: the data plane, that is Open vSwitch or OVN with their agents. Ports are bound and
ACTIVE as soon as they have a host, router ports are ACTIVE at once, and a floating IP is ACTIVE
while it has a port; no packet is ever carried. Everything else (API, IPAM, quotas, policies,
security groups, notifications, events to Nova) is Neutron itself.
"""

from typing import ClassVar

from neutron import policy
from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants
from neutron_lib import context as neutron_context
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api

DETAILS = {
    portbindings.CAP_PORT_FILTER: True,
    portbindings.VIF_DETAILS_CONNECTIVITY: portbindings.CONNECTIVITY_L2,
    "bridge_name": "br-int",
    "datapath_type": "system",
}
WITHOUT_AGENTS = frozenset(
    {
        "dvr",
        "l3-ha",
        "l3_agent_scheduler",
        "network_ha",
        "router_availability_zone",
        "l3-flavors",
        "router-admin-state-down-before-update",
    }
)


class MechanismDriver(api.MechanismDriver):
    """Binds every port that has a host, at once and ACTIVE."""

    def initialize(self):
        """Load Neutron's policies before its first request.

        Neutron does so in its first request, and not thread-safely: others at that moment find no
        rules, so lists come back empty and everything else is "disallowed by policy" or 404.
        """
        policy.init()

    @property
    def connectivity(self):
        """Say that ports are connected by L2, which is what Nova expects."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context):
        """Bind to the first segment."""
        segment = context.segments_to_bind[0]
        context.set_binding(
            segment[api.ID], portbindings.VIF_TYPE_OVS, DETAILS, status=constants.PORT_STATUS_ACTIVE
        )

    def create_port_postcommit(self, context):
        """Say that router ports are up: they have no host and are never bound."""
        port = context.current
        is_router = port["device_owner"].startswith("network:router")
        if is_router and port["status"] != constants.PORT_STATUS_ACTIVE:
            directory.get_plugin().update_port_status(
                neutron_context.get_admin_context(), port["id"], constants.PORT_STATUS_ACTIVE
            )

    update_port_postcommit = create_port_postcommit


class RouterPlugin(l3_router_plugin.L3RouterPlugin):
    """Routers and floating IPs that no agent serves."""

    _supported_extension_aliases: ClassVar[list[str]] = [
        alias
        for alias in l3_router_plugin.L3RouterPlugin._supported_extension_aliases
        if alias not in WITHOUT_AGENTS
    ]

    def create_floatingip(self, context, floatingip):
        """Make a floating IP; it works at once."""
        return self._settle(context, super().create_floatingip(context, floatingip))

    def update_floatingip(self, context, id, floatingip):
        """Move a floating IP; it works at once."""
        return self._settle(context, super().update_floatingip(context, id, floatingip))

    def _settle(self, context, floating_ip):
        active, down = constants.FLOATINGIP_STATUS_ACTIVE, constants.FLOATINGIP_STATUS_DOWN
        status = active if floating_ip.get("port_id") else down
        if floating_ip["status"] != status:
            self.update_floatingip_status(context, floating_ip["id"], status)
            floating_ip["status"] = status
        return floating_ip
