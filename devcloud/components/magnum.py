"""Magnum: Kubernetes clusters as a service. Its driver is ours (`plugins`) and needs no Heat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from devcloud.broker import has_consumer
from devcloud.cloud_venv import venv_path
from devcloud.component import Component
from devcloud.components.catalog import EXTERNAL_NETWORK
from devcloud.components.kubernetes import PACKAGE, clusters_root, install_plugin
from devcloud.ini import Sections, merge, render_ini
from devcloud.keystone_client import connect_admin, register_service
from devcloud.openstack_service import (
    REGION,
    ServiceDatabase,
    WsgiApi,
    broker_url,
    common_settings,
    database_settings,
    environment,
    login,
    program,
)
from devcloud.processes import Daemon
from devcloud.site import Site

DRIVER = "colobus_devcloud"
#: What templates of clusters name. No server boots from it; Magnum wants to know its system.
IMAGE, IMAGE_SYSTEM = "kubernetes-node", "debian"
IMAGE_CONTENT = b"no node boots from here\n" * 64
TOPIC = "magnum-conductor"
#: The sections of magnum.conf that say how others are asked.
CLIENTS = ("nova_client", "neutron_client", "glance_client", "octavia_client")


def recipes(version: str) -> dict[str, Any]:
    """What the k8s_worker is told of the only version that there is (its file of templates)."""
    recipe = {
        "version": version,
        "image": IMAGE,
        "flavor": "small",
        "external_network": EXTERNAL_NETWORK,
        "checks": {"dns": "Service kube-system/kube-dns"},
        "settings": {
            "network_driver": "calico",
            "floating_ip_enabled": True,
            "master_lb_enabled": False,
        },
    }
    return {"versions": [recipe]}


#: For harnesses, which ask for what is built.
RECIPES = recipes("1.20")


def write_settings(component: Component) -> None:
    """Write magnum.conf and install the driver with the entry point that Magnum looks up."""
    site = component.site
    install_plugin(site)
    entry = f"{DRIVER} = {PACKAGE}.magnum_driver:Driver"
    site.declare_entry_point(PACKAGE, "magnum.drivers", entry)
    client = {"region_name": REGION, "endpoint_type": "publicURL"}
    own: Sections = {
        "DEFAULT": {"host": "devcloud"},
        "api": {"api_paste_config": str(venv_path(site) / "etc" / "magnum" / "api-paste.ini")},
        "conductor": {"workers": 1},
        "database": database_settings(site, "magnum"),
        "keystone_auth": login(site, "magnum"),
        # Keys are in Magnum's database, encrypted: there is no Barbican.
        "certificates": {"cert_manager_type": "x509keypair"},
        **{section: dict(client) for section in CLIENTS},
    }
    settings = merge(common_settings(site, "magnum"), own)
    site.write_config("magnum.conf", render_ini(settings))


def register(site: Site) -> None:
    """Register Magnum's user and endpoint, unless that was done."""
    url = site.ports.url(MagnumApi.name, MagnumApi.endpoint_path)
    register_service(site, MagnumApi.service, MagnumApi.service_type, url)


class MagnumPart(Component):
    """Anything that is told magnum.conf."""

    by_default = False
    needs_cloud_venv = True

    def render(self) -> None:
        """Write it."""
        write_settings(self)


class MagnumDatabase(MagnumPart, ServiceDatabase):
    """Magnum's tables."""

    name = "magnum-database"
    databases: ClassVar[tuple[str, ...]] = ("magnum",)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'magnum.conf'}"
        return [[program(self.site, "magnum-db-manage"), config, "upgrade"]]


class MagnumApi(MagnumPart, WsgiApi):
    """The API. What a template names, it looks up in Nova, Neutron and Glance."""

    name = main_port = "magnum-api"
    requires: ClassVar[tuple[str, ...]] = ("magnum-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq", "catalog")
    module = "magnum.wsgi.api"
    service = "magnum"
    service_type = "container-infra"
    endpoint_path = "/v1"

    def extra_environment(self) -> dict[str, str]:
        """Say what the driver, which the API loads too, looks for."""
        return driver_environment(self.site)


class MagnumConductor(MagnumPart):
    """What has the clusters made. It can die at any time: what it asked for is done meanwhile."""

    name = "magnum-conductor"
    requires: ClassVar[tuple[str, ...]] = ("magnum-database", "keystone", "kubernetes-clusters")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)

    def configured(self) -> bool:
        """Tell whether Magnum's user was made."""
        return self.site.is_done(f"{MagnumApi.service}-registered")

    def configure(self) -> None:
        """Register Magnum, if the API hasn't done it yet."""
        register(self.site)

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        config = f"--config-file={self.site.paths.etc / 'magnum.conf'}"
        command = [program(self.site, self.name), config]
        variables = {**environment(self.site), **driver_environment(self.site)}
        return (Daemon(self.name, command, variables),)

    def ready(self) -> bool:
        """Tell whether it serves its queue."""
        return self.running() and has_consumer(broker_url(self.site, "amqp"), TOPIC)


class Magnum(Component):
    """All of Magnum, and the image that its templates name."""

    name = "magnum"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("magnum-api", "magnum-conductor", "catalog")

    def configured(self) -> bool:
        """Tell whether the image is there."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the image, as an operator would."""
        image = connect_admin(self.site).image
        found = image.find_image(IMAGE)
        if found is not None and found.status != "active":  # its upload was interrupted
            image.delete_image(found)
            found = None
        if found is None:
            formats = {"disk_format": "raw", "container_format": "bare", "visibility": "public"}
            content = {"data": IMAGE_CONTENT, "wait": True, "timeout": 60}
            image.create_image(name=IMAGE, os_distro=IMAGE_SYSTEM, **content, **formats)
        self.site.mark_done(self.name)


def driver_environment(site: Site) -> dict[str, str]:
    """Return what the driver is told."""
    return {"COLOBUS_DEVCLOUD_CLUSTERS": str(clusters_root(site))}
