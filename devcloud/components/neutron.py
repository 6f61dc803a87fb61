"""Neutron: networks, ports, routers, floating IPs; without a data plane (see `plugins`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import devcloud.plugins
from devcloud.cloud_venv import venv_path
from devcloud.component import Component
from devcloud.ini import Sections, merge, render_ini
from devcloud.openstack_service import (
    ServiceDatabase,
    WsgiApi,
    common_settings,
    database_settings,
    login,
    program,
)

PLUGIN = "colobus_devcloud_network"
MECHANISM = "colobus_devcloud"
PHYSICAL_NETWORK = "external"
SERVICE_PLUGINS = (
    f"{PLUGIN}.RouterPlugin,tag,timestamp,revisions,flavors,qos,"
    "network_ip_availability,auto_allocate"
)


def write_settings(component: Component) -> None:
    """Write neutron.conf and install the plugin with the entry point that Neutron looks up."""
    site = component.site
    site.install_plugin(Path(devcloud.plugins.__file__).with_name(f"{PLUGIN}.py"))
    driver = f"{MECHANISM} = {PLUGIN}:MechanismDriver"
    site.declare_entry_point(PLUGIN, "neutron.ml2.mechanism_drivers", driver)
    own: Sections = {
        "DEFAULT": {
            "core_plugin": "ml2",
            "service_plugins": SERVICE_PLUGINS,
            "api_paste_config": str(venv_path(site) / "etc" / "neutron" / "api-paste.ini"),
            "notify_nova_on_port_status_changes": True,
            "notify_nova_on_port_data_changes": True,
            "send_events_interval": 1,
            "enable_traditional_dhcp": False,
            "dns_domain": "devcloud.test.",
            "global_physnet_mtu": 1500,
            "rpc_workers": 0,
            "rpc_state_report_workers": 0,
        },
        "database": database_settings(site, "neutron"),
        "nova": login(site, "nova"),
        "placement": login(site, "neutron"),
        "ml2": {
            "type_drivers": "flat,geneve,local",
            "tenant_network_types": "geneve",
            "mechanism_drivers": MECHANISM,
            # The last lets a port have its tags from its first moment, in the call that makes it.
            "extension_drivers": "port_security,dns,qos,tag_ports_during_bulk_creation",
            "overlay_ip_version": 4,
        },
        "ml2_type_flat": {"flat_networks": PHYSICAL_NETWORK},
        "ml2_type_geneve": {"vni_ranges": "1:60000", "max_header_size": 38},
        "securitygroup": {"enable_security_group": True},
    }
    site.write_config("neutron.conf", render_ini(merge(common_settings(site, "neutron"), own)))


class NeutronDatabase(ServiceDatabase):
    """Neutron's tables."""

    name = "neutron-database"
    databases: ClassVar[tuple[str, ...]] = ("neutron",)

    def render(self) -> None:
        """Write neutron.conf."""
        write_settings(self)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'neutron.conf'}"
        return [[program(self.site, "neutron-db-manage"), config, "upgrade", "heads"]]


class Neutron(WsgiApi):
    """The network API."""

    name = "neutron"
    main_port = "neutron"
    requires: ClassVar[tuple[str, ...]] = ("neutron-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)
    module = "neutron.wsgi.api"
    #: Python runs one at a time, and more of them cost each other a tenth of their time.
    threads: ClassVar[int] = 4
    service = "neutron"
    service_type = "network"

    def render(self) -> None:
        """Write neutron.conf."""
        write_settings(self)

    def extra_environment(self) -> Mapping[str, str]:
        """Say where the settings are."""
        return {
            "OS_NEUTRON_CONFIG_DIR": str(self.site.paths.etc),
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
        }
