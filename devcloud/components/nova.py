"""Nova: servers. Every process can be stopped alone; the hypervisor is replaced (see `plugins`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import devcloud.plugins
from devcloud.broker import has_consumer
from devcloud.cloud_venv import venv_path
from devcloud.component import Component
from devcloud.components.mariadb import query
from devcloud.ini import Sections, merge, render_ini
from devcloud.keystone_client import register_service
from devcloud.openstack_service import (
    ServiceDatabase,
    WsgiApi,
    broker_url,
    common_settings,
    database_settings,
    environment,
    login,
    program,
)
from devcloud.ports import HOST
from devcloud.processes import Daemon

HYPERVISOR = "colobus_devcloud_hypervisor"
LAUNCHER = "colobus_devcloud_compute"
#: Nova's own, and the one that keeps a host for the second cloud's projects.
FILTERS = (
    "ComputeFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "AggregateMultiTenancyIsolation",
)
UP_AND_MAPPED = """
SELECT COUNT(*) FROM nova.services s JOIN nova_api.host_mappings m ON s.host = m.host
WHERE s.host = '{host}' AND s.`binary` = 'nova-compute' AND s.deleted = 0
AND TIMESTAMPDIFF(SECOND, COALESCE(s.last_seen_up, s.created_at), UTC_TIMESTAMP()) <= {age}
"""


def write_settings(component: Component) -> None:
    """Write nova.conf, and nova-compute.conf: the same without a way to the database.

    Compute hosts talk to it through the conductor; Nova logs errors where they could do otherwise.
    """
    site = component.site
    service_login = login(site, "nova")
    state = site.account.own(site.paths.data / "nova")
    own: Sections = {
        "DEFAULT": {
            "my_ip": HOST,
            "compute_driver": f"{HYPERVISOR}.Hypervisor",
            "instances_path": str(site.account.own(state / "instances")),
            "vif_plugging_is_fatal": True,
            "vif_plugging_timeout": 30,
            "service_down_time": 60,
            "periodic_fuzzy_delay": 0,  # or new hosts are taken in up to a minute later
            "max_concurrent_builds": 20,
        },
        # Failing builds are a test's business; they must not take a host out of service.
        "compute": {"consecutive_build_service_disable_threshold": 0},
        "wsgi": {"api_paste_config": str(venv_path(site) / "etc" / "nova" / "api-paste.ini")},
        "api": {"auth_strategy": "keystone"},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 2},
        "filter_scheduler": {
            "track_instance_changes": False,
            "enabled_filters": ",".join(FILTERS),
        },
        "notifications": {
            "notification_format": "versioned",
            "notify_on_state_change": "vm_and_task_state",
        },
        "vnc": {"enabled": False},
        "glance": service_login,
        "placement": service_login,
        "neutron": service_login,
        "cinder": service_login,
        "keystone": service_login,
    }
    databases = {
        "database": database_settings(site, "nova"),
        "api_database": database_settings(site, "nova_api"),
    }
    settings = merge(common_settings(site, "nova"), own)
    site.write_config("nova-compute.conf", render_ini(settings))
    site.write_config("nova.conf", render_ini(merge(settings, databases)))


class NovaPart(Component):
    """What all of Nova's components share."""

    needs_cloud_venv = True

    def render(self) -> None:
        """Write nova.conf."""
        write_settings(self)


class NovaDatabase(NovaPart, ServiceDatabase):
    """Nova's tables and its two cells.

    The cells' addresses are templates that Nova fills from nova.conf, so the dump fits any cloud.
    """

    name = "nova-database"
    databases: ClassVar[tuple[str, ...]] = ("nova_api", "nova_cell0", "nova")

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return what Nova's installation guide says, in its order."""
        base = "{scheme}://{username}:{password}@{hostname}:{port}/"
        config = f"--config-file={self.site.paths.etc / 'nova.conf'}"
        manage = [program(self.site, "nova-manage"), config]
        cell0 = f"--database_connection={base}nova_cell0?{{query}}"
        cell1 = ["--name=cell1", f"--database_connection={base}nova?{{query}}"]
        return [
            [*manage, "api_db", "sync"],
            [*manage, "cell_v2", "map_cell0", cell0],
            [*manage, "db", "sync"],
            [*manage, "cell_v2", "create_cell", *cell1, f"--transport-url={base}"],
        ]


class NovaApi(NovaPart, WsgiApi):
    """The compute API."""

    name = "nova-api"
    main_port = "nova-api"
    requires: ClassVar[tuple[str, ...]] = ("nova-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)
    module = "nova.wsgi.osapi_compute"
    service = "nova"
    service_type = "compute"
    endpoint_path = "/v2.1"

    def extra_environment(self) -> Mapping[str, str]:
        """Say where the settings are; Nova wants its paste file first in that list."""
        paste = venv_path(self.site) / "etc" / "nova" / "api-paste.ini"
        return {
            "OS_NOVA_CONFIG_DIR": str(self.site.paths.etc),
            "OS_NOVA_CONFIG_FILES": f"{paste};nova.conf",
        }


class NovaDaemon(NovaPart):
    """A process without a port."""

    host: ClassVar[str] = "controller"
    settings: ClassVar[str] = "nova"
    topic: ClassVar[str]

    def configured(self) -> bool:
        """Tell whether Nova's user, as whom every process logs in, was made."""
        return self.site.is_done("nova-registered")

    def configure(self) -> None:
        """Register Nova, if the API hasn't done it yet."""
        url = self.site.ports.url(NovaApi.name, NovaApi.endpoint_path)
        register_service(self.site, NovaApi.service, NovaApi.service_type, url)

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        return (Daemon(self.name, [*self.command(), *self.configs()], environment(self.site)),)

    def command(self) -> list[str]:
        """Return how the program is called."""
        return [program(self.site, self.name)]

    def configs(self) -> list[str]:
        """Return the options that name its settings: Nova's and its own."""
        etc = self.site.paths.etc
        return [f"--config-file={etc / f'{name}.conf'}" for name in (self.settings, self.name)]

    def render(self) -> None:
        """Write nova.conf and the process's own settings."""
        super().render()
        state = self.site.account.own(self.site.paths.data / self.name)
        own: Sections = {"DEFAULT": {"host": self.host, "state_path": str(state)}}
        self.site.write_config(f"{self.name}.conf", render_ini(merge(own, self.own_settings())))

    def own_settings(self) -> Sections:
        """Return what only this process is told."""
        return {}

    def ready(self) -> bool:
        """Tell whether the process serves its queue."""
        return self.running() and has_consumer(broker_url(self.site, "amqp"), self.topic)


class NovaConductor(NovaDaemon):
    """Talks to the database for the compute hosts, and builds servers."""

    name = "nova-conductor"
    topic: ClassVar[str] = "conductor"
    requires: ClassVar[tuple[str, ...]] = ("nova-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)


class NovaScheduler(NovaDaemon):
    """Chooses a host for each server, and takes new hosts into the cell."""

    name = "nova-scheduler"
    topic: ClassVar[str] = "scheduler"
    # Started before that is in Keystone's catalogue, it would never find it.
    requires: ClassVar[tuple[str, ...]] = ("nova-database", "keystone", "placement")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)

    def start(self) -> None:
        """Start it; anew when it runs with other filters, for it reads them only once."""
        running_with = self.site.paths.run / f"{self.name}.filters"
        wanted = ",".join(FILTERS)
        if not running_with.exists() or running_with.read_text() != wanted:
            self.stop()
        super().start()
        running_with.write_text(wanted)


class NovaCompute(NovaDaemon):
    """One compute host."""

    requires: ClassVar[tuple[str, ...]] = ("nova-conductor", "placement")
    wants: ClassVar[tuple[str, ...]] = ("nova-scheduler",)  # takes the host into the cell

    settings: ClassVar[str] = "nova-compute"
    #: In MiB. The usual hosts have no room for the flavor `huge`.
    memory: ClassVar[int] = 262_144

    def render(self) -> None:
        """Write settings and install the hypervisor driver."""
        super().render()
        for plugin in (HYPERVISOR, LAUNCHER):
            self.site.install_plugin(Path(devcloud.plugins.__file__).with_name(f"{plugin}.py"))

    def own_settings(self) -> Sections:
        """Return the size of the host."""
        return {"devcloud": {"memory_mb": self.memory}}

    def command(self) -> list[str]:
        """Return how the program is called: through a launcher that makes the driver known."""
        return [program(self.site, "python"), "-m", LAUNCHER]

    def ready(self) -> bool:
        """Tell whether the scheduler would choose this host.

        For that it must have reported since it was started (5 s after), and be known to the cell.
        """
        if not self.running():
            return False
        age = int(time.time() - self.site.processes.started_at(self.name)) + 1
        return query(self.site, UP_AND_MAPPED.format(host=self.host, age=age)).strip() == "1"


class NovaCompute1(NovaCompute):
    """The first compute host."""

    name = "nova-compute1"
    host: ClassVar[str] = "compute1"


class NovaCompute2(NovaCompute):
    """The second compute host."""

    name = "nova-compute2"
    host: ClassVar[str] = "compute2"


class NovaCompute3(NovaCompute):
    """The host of the second cloud's own: see `second_cloud`."""

    name = "nova-compute3"
    host: ClassVar[str] = "compute3"
    memory: ClassVar[int] = 4_194_304


class Nova(Component):
    """All of Nova, for `up nova`."""

    name = "nova"
    requires: ClassVar[tuple[str, ...]] = (
        "cloud-rabbitmq",
        "nova-api",
        "nova-scheduler",
        "nova-compute1",
        "nova-compute2",
        "neutron",
        "glance",
    )
