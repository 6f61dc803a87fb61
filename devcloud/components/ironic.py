"""Ironic: bare metal. API and conductor are one process, which needs no message bus of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from devcloud.component import Component, answers_http
from devcloud.components.provisioning_network import http_root, make_roots, tftp_root
from devcloud.ini import Sections, merge, render_ini
from devcloud.keystone_client import register_operator, register_service
from devcloud.openstack_service import (
    ServiceDatabase,
    common_settings,
    database_settings,
    environment,
    login,
    program,
)
from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.provisioning import HTTP_PORT, network_of
from devcloud.tenants import BARE_METAL_USER

#: What each kind of interface may be; the first of them is the default. `fake` is for tests of many
#: nodes at once: everything of it succeeds and nothing happens.
INTERFACES = {
    "bios": "no-bios,fake",
    "boot": "ipxe,fake",
    "console": "no-console,fake",
    "deploy": "direct,fake",
    "firmware": "no-firmware,fake",
    "inspect": "no-inspect,fake",
    "management": "redfish,fake",
    "network": "noop",
    "power": "redfish,fake",
    "raid": "no-raid,fake",
    "rescue": "no-rescue,fake",
    "storage": "external,noop,fake",
    "vendor": "no-vendor,fake",
}


def write_settings(component: Component) -> None:
    """Write ironic.conf."""
    site = component.site
    state = site.account.own(site.paths.data / "ironic")
    make_roots(site)
    gateway = network_of(site).gateway
    images, tftp = site.account.own(state / "images"), tftp_root(site)
    own: Sections = {
        "DEFAULT": {
            "auth_strategy": "keystone",
            "host": "devcloud",
            "my_ip": HOST,
            "rpc_transport": "none",
            "enabled_hardware_types": "redfish,fake-hardware",
            **{f"enabled_{kind}_interfaces": names for kind, names in INTERFACES.items()},
            "default_network_interface": "noop",
            "notification_level": "info",
        },
        "api": {"host_ip": HOST, "port": site.ports["ironic"], "api_workers": 1},
        "database": database_settings(site, "ironic"),
        "service_catalog": login(site, "ironic"),
        "conductor": {
            # A diskless machine has nothing to clean, and no ramdisk is ever booted.
            "automated_clean": False,
            "sync_power_state_interval": 20,
            "check_provision_state_interval": 10,
            "node_locked_retry_attempts": 3,
            "node_locked_retry_interval": 1,
            "power_state_change_timeout": 60,
            "power_failure_recovery_interval": 10,  # of boards that tests have killed
            "workers_pool_size": 100,
        },
        "deploy": {
            "http_url": f"http://{gateway}:{HTTP_PORT}",
            "http_root": str(http_root(site)),
            "default_boot_mode": "bios",
            "fast_track": False,
        },
        "pxe": {
            "tftp_root": str(tftp),
            "tftp_master_path": str(site.account.own(tftp / "master_images")),
            "images_path": str(images),
            "instance_master_path": str(site.account.own(images / "master")),
            "tftp_server": gateway,
        },
        "dhcp": {"dhcp_provider": "none"},
        "redfish": {"auth_type": "basic", "connection_attempts": 1},
    }
    settings = merge(common_settings(site, "ironic"), own)
    site.write_config("ironic.conf", render_ini(settings))


class IronicDatabase(ServiceDatabase):
    """Ironic's tables."""

    name = "ironic-database"
    by_default = False
    databases: ClassVar[tuple[str, ...]] = ("ironic",)

    def render(self) -> None:
        """Write ironic.conf."""
        write_settings(self)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's creation."""
        config = f"--config-file={self.site.paths.etc / 'ironic.conf'}"
        return [[program(self.site, "ironic-dbsync"), config, "create_schema"]]


class Ironic(Component):
    """The API and the conductor. It needs no machine: fake hardware is all its own."""

    name = "ironic"
    main_port = "ironic"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("ironic-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)  # for notifications
    needs_cloud_venv = True

    def render(self) -> None:
        """Write ironic.conf."""
        write_settings(self)

    def configured(self) -> bool:
        """Tell whether the service, and who may use it, are registered."""
        return self.site.is_done(f"{self.name}-registered") and self.site.is_done(self.name)

    def configure(self) -> None:
        """Register the service, and the user that Colobus is to it."""
        register_service(self.site, self.name, "baremetal", self.site.ports.url(self.name))
        register_operator(self.site, BARE_METAL_USER)
        self.site.mark_done(self.name)

    def daemons(self) -> Sequence[Daemon]:
        """Return the one process."""
        config = f"--config-file={self.site.paths.etc / 'ironic.conf'}"
        return (Daemon(self.name, [program(self.site, "ironic"), config], environment(self.site)),)

    def ready(self) -> bool:
        """Tell whether the API answers; it does so once its conductor has taken up its nodes."""
        return self.running() and answers_http(self.site.ports[self.name], "/v1")
