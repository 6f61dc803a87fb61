"""Octavia: load balancers; an API, and a worker that makes them of nothing (see `plugins`)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import devcloud.plugins
from devcloud.broker import empty_queue, has_consumer
from devcloud.component import Component
from devcloud.components.mariadb import query
from devcloud.credentials import write_private
from devcloud.ini import Sections, merge, render_ini
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
from devcloud.processes import Daemon
from devcloud.site import Site

PLUGIN = "colobus_devcloud_balancers"
DRIVER = "colobus_devcloud"
#: The queue on which the provider `octavia` gives its orders.
TOPIC = "octavia_provisioning_v2"
#: Octavia encrypts keys of amphorae with a key of so many characters.
KEY_LENGTH = 32
YEARS = 10
#: What may be left on its way, and what is said of it then.
UNFINISHED = (
    "load_balancer",
    "listener",
    "pool",
    "member",
    "health_monitor",
    "l7policy",
    "l7rule",
)
SET_TO_ERROR = "SET provisioning_status = 'ERROR' WHERE provisioning_status LIKE 'PENDING%'"


def write_settings(component: Component) -> None:
    """Write octavia.conf, and install the drivers with the entry points that Octavia looks up."""
    site = component.site
    site.install_plugin(Path(devcloud.plugins.__file__).with_name(f"{PLUGIN}.py"))
    for kind in ("network", "compute"):
        entry = f"{DRIVER} = {PLUGIN}:{kind.capitalize()}Driver"
        site.declare_entry_point(f"{PLUGIN}_{kind}", f"octavia.{kind}.drivers", entry)
    authority = str(_authority(site))
    own: Sections = {
        "api_settings": {
            "enabled_provider_drivers": "octavia:Load balancers that carry nothing",
            "default_provider_driver": "octavia",
        },
        "controller_worker": {
            "workers": 1,
            "amphora_driver": "amphora_noop_driver",
            "compute_driver": DRIVER,
            "network_driver": DRIVER,
            "image_driver": "image_noop_driver",
            "volume_driver": "volume_noop_driver",
            "amp_flavor_id": "none",
            "amp_image_owner_id": "none",
            "client_ca": authority,
        },
        "oslo_messaging": {"topic": TOPIC, "rpc_thread_pool_size": 4},
        "task_flow": {"jobboard_enabled": False},
        "certificates": {
            "cert_manager": "noop_cert_manager",
            "cert_generator": "local_cert_generator",
            "ca_certificate": authority,
            "ca_private_key": authority,
            "server_certs_key_passphrase": site.credentials["octavia-keys"][:KEY_LENGTH],
        },
        "haproxy_amphora": {"server_ca": authority, "client_cert": authority},
        "health_manager": {"heartbeat_key": site.credentials["octavia-heartbeat"]},
        "service_auth": login(site, "octavia"),
        "neutron": {"region_name": str(login(site, "octavia")["region_name"])},
        "database": database_settings(site, "octavia"),
    }
    site.write_config("octavia.conf", render_ini(merge(common_settings(site, "octavia"), own)))


def memory(site: Site) -> dict[str, str]:
    """Return what the drivers are told."""
    folder = site.account.own(site.paths.data / "octavia")
    return {"COLOBUS_DEVCLOUD_BALANCERS": os.fspath(folder / "plugged.sqlite")}


class OctaviaPart(Component):
    """Anything that is told octavia.conf."""

    needs_cloud_venv = True
    by_default = False

    def render(self) -> None:
        """Write it."""
        write_settings(self)


class OctaviaDatabase(OctaviaPart, ServiceDatabase):
    """Octavia's tables."""

    name = "octavia-database"
    databases: ClassVar[tuple[str, ...]] = ("octavia",)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'octavia.conf'}"
        return [[program(self.site, "octavia-db-manage"), config, "upgrade", "head"]]


class OctaviaApi(OctaviaPart, WsgiApi):
    """The API. It makes the ports of addresses itself, before the worker hears of anything."""

    name = main_port = "octavia-api"
    requires: ClassVar[tuple[str, ...]] = ("octavia-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq", "neutron")
    module = "octavia.wsgi.api"
    service = "octavia"
    service_type = "load-balancer"

    def extra_environment(self) -> Mapping[str, str]:
        """Say what the drivers look for."""
        return memory(self.site)


class OctaviaWorker(OctaviaPart):
    """Makes, changes and removes load balancers."""

    name = "octavia-worker"
    requires: ClassVar[tuple[str, ...]] = ("octavia-database", "octavia-api", "cloud-rabbitmq")
    wants: ClassVar[tuple[str, ...]] = ("neutron",)

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        config = f"--config-file={self.site.paths.etc / 'octavia.conf'}"
        variables = {**environment(self.site), **memory(self.site)}
        return (Daemon(self.name, [program(self.site, self.name), config], variables),)

    def start(self) -> None:
        """Start it; what one that was killed did not end is in error, as an operator would set it.

        Octavia takes up what was begun only with a job board, and refuses every order for it
        meanwhile. What was begun can't be told from what waits in the queue, since an order is
        acknowledged before it is carried out. So those that wait go too; who gave them, and finds
        an error, makes it anew.

        Raises:
            QueueNotEmptied: It can't be known that no order for these is left.
        """
        if not self.running():
            empty_queue(broker_url(self.site, "amqp"), TOPIC)
            changes = (f"UPDATE octavia.{table} {SET_TO_ERROR}" for table in UNFINISHED)
            query(self.site, "; ".join(changes))
        super().start()

    def ready(self) -> bool:
        """Tell whether the process serves its queue."""
        return self.running() and has_consumer(broker_url(self.site, "amqp"), TOPIC)


class Octavia(Component):
    """All of Octavia, and who has networks for it, for `up octavia`."""

    name = "octavia"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("octavia-api", "octavia-worker", "catalog")


def _authority(site: Site) -> Path:
    """Return a certificate with its key, made once, that amphorae would be known by."""
    path = site.account.own(site.paths.data / "octavia") / "authority.pem"
    if path.exists():
        return path
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devcloud's amphorae")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    text = (certificate.public_bytes(pem) + private).decode()
    write_private(path, text, (site.account.uid, site.account.gid))
    return path
