"""Colobus' services, and the receiver of the demo's webhooks: a process each."""

from __future__ import annotations

import hashlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import yaml

from devcloud.ceph_settings import POOL, TARGET, WORKER, conf_path
from devcloud.component import answers_http
from devcloud.components.colobus import (
    METAL,
    STORE,
    FromCheckout,
    code_digest,
    python_environment,
)
from devcloud.components.magnum import recipes
from devcloud.components.tgt import offered_at, socket_path
from devcloud.kubernetes.programs import version
from devcloud.openstack_service import broker_url
from devcloud.ports import HOST
from devcloud.processes import Daemon, ProcessTable
from devcloud.site import Site
from devcloud.tenants import BARE_METAL_CLOUD, CLOUD, CLOUDS

#: The webhook receiver is on loopback, which webhooks otherwise never reach.
ALLOWED_NETWORKS = "127.0.0.0/8"


class Process(FromCheckout, ABC):
    """One process that serves HTTP. `up` starts it anew when code or settings have changed."""

    module: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    health_path: ClassVar[str] = "/readyz"
    ready_within = 60.0

    @cached_property
    def processes(self) -> ProcessTable:
        """Return the table that starts processes as our account."""
        return ProcessTable(self.site.paths, self.account)

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return its settings; may hold passwords."""

    def daemons(self) -> Sequence[Daemon]:
        """Return the process, as it is recognised and stopped."""
        return (Daemon(self.name, [sys.executable, "-m", self.module], grace=30.0),)

    def start(self) -> None:
        """Start it, with its settings, unless it runs with the code of now."""
        environment = {**python_environment(), **self.environment()}
        wanted = self._fingerprint(environment)
        running_with = self.site.paths.run / f"{self.name}.fingerprint"
        if self.running() and running_with.exists() and running_with.read_text() == wanted:
            return
        self.stop()
        (daemon,) = self.daemons()
        self.processes.spawn(Daemon(daemon.name, daemon.argv, environment, grace=daemon.grace))
        running_with.write_text(wanted)

    def ready(self) -> bool:
        """Tell whether it says so itself."""
        return self.running() and answers_http(self.site.ports[self.name], self.health_path)

    def _fingerprint(self, environment: dict[str, str]) -> str:
        """Return what changes when it should be started anew: code, settings, files they name."""
        named = [Path(value) for name, value in environment.items() if name.endswith("_FILE")]
        settings = json.dumps(environment, sort_keys=True)
        digest = hashlib.sha256(f"{code_digest(*self.sources)}\n{settings}".encode())
        for file in named:
            digest.update(file.read_bytes() if file.exists() else b"")
        return digest.hexdigest()


class Service(Process):
    """One of Colobus' services; its component has its name."""

    requires: ClassVar[tuple[str, ...]] = ("colobus-install",)
    sources = ("services", "shared")

    def environment(self) -> dict[str, str]:
        """Return what the admin step knows of it, and what only the operator does."""
        # Imported when needed: bringing up broker and database alone must not need the services.
        from services.admin.environment import environment_of
        from services.admin.settings import AdminSettings
        from shared.runtime.settings import load

        settings = load(AdminSettings, self.admin_environment())
        return {
            "COLOBUS_INSTALLATION_ID": f"{CLOUD}-{self.site.ports.base}",
            "COLOBUS_HTTP_HOST": HOST,
            "COLOBUS_HTTP_PORT": str(self.site.ports[self.name]),
            "COLOBUS_LOG_LEVEL": "info",
            **environment_of(self.name, settings),
            **self.own_settings(),
        }

    def own_settings(self) -> dict[str, str]:
        """Return settings that no other service has."""
        return {}


class FrontDoor(Service):
    """The HTTP interface."""

    name = main_port = "front_door"
    module = "services.front_door"

    def own_settings(self) -> dict[str, str]:
        """Return where tokens are validated and which private addresses webhooks may go to."""
        return {
            "COLOBUS_KEYSTONE_URLS": f"{CLOUD}={self.site.ports.url('keystone', '/v3')}",
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": ALLOWED_NETWORKS,
        }


class Scheduler(Service):
    """The one who decides."""

    name = main_port = "scheduler"
    module = "services.scheduler"

    def own_settings(self) -> dict[str, str]:
        """Return which private addresses callbacks asked for on the bus may go to."""
        return {"COLOBUS_WEBHOOK_ALLOWED_NETWORKS": ALLOWED_NETWORKS}


class VmWorker(Service):
    """The one who asks Nova and Neutron."""

    name = main_port = "vm_worker"
    module = "services.vm_worker"

    def own_settings(self) -> dict[str, str]:
        """Return where the service user's password is, and where the cloud's notifications are."""
        broker = broker_url(self.site, "amqp")  # both clouds are of one OpenStack
        return {
            "COLOBUS_CLOUDS_FILE": str(self.folder / "clouds.yaml"),
            "COLOBUS_NOTIFICATIONS_URLS": ",".join(f"{cloud}={broker}" for cloud in CLOUDS),
        }


class IscsiWorker(Service):
    """The one who asks Ceph and tgt."""

    name = main_port = "iscsi_worker"
    requires: ClassVar[tuple[str, ...]] = ("colobus-install", "ceph", "tgt")
    after: ClassVar[tuple[str, ...]] = ("provisioning-network",)  # for the portal that is there
    module = "services.iscsi_worker"

    def render(self) -> None:
        """Write how the store is reached."""
        self.account.own(self.folder)
        self.write_private("stores.yaml", {"stores": {STORE: store_access(self.site)}})

    def own_settings(self) -> dict[str, str]:
        """Return where that is written."""
        return {"COLOBUS_STORES_FILE": str(self.folder / "stores.yaml")}


def store_access(site: Site) -> dict[str, object]:
    """Return how the store is reached, as the iscsi_worker's stores file says it."""
    conf = str(conf_path(site))
    user, tgt_user = (one.removeprefix("client.") for one in (WORKER, TARGET))
    return {
        "ceph": {"conf": conf, "pool": POOL, "user": user},
        "gateway": {
            "type": "tgt",
            "socket": str(socket_path(site)),
            "portals": offered_at(site),
            "ceph_conf": conf,
            "ceph_user": tgt_user,
        },
    }


class BaremetalWorker(Service):
    """The one who asks Ironic; with it comes all of Colobus, which a machine needs."""

    name = main_port = "baremetal_worker"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("colobus-install", "bare-metal", "golden-image")
    wants: ClassVar[tuple[str, ...]] = (
        *("front_door", "scheduler", "vm_worker", "iscsi_worker"),
        *("webhook_worker", "webhook-receiver", "second-cloud"),
    )
    module = "services.baremetal_worker"

    def render(self) -> None:
        """Write how Ironic is reached: as its operator, whose password nobody else is told."""
        self.account.own(self.folder)
        clouds = yaml.safe_load(self.site.paths.clouds_yaml.read_text())["clouds"]
        login = {BARE_METAL_CLOUD: clouds[BARE_METAL_CLOUD]}
        self.write_private("metal_clouds.yaml", {"clouds": login})
        self.write_private("metals.yaml", {"metals": {METAL: {"cloud": BARE_METAL_CLOUD}}})

    def own_settings(self) -> dict[str, str]:
        """Return where that is written."""
        return {
            "COLOBUS_METALS_FILE": str(self.folder / "metals.yaml"),
            "COLOBUS_CLOUDS_FILE": str(self.folder / "metal_clouds.yaml"),
        }


class K8sWorker(Service):
    """The one who asks Magnum, and the clusters themselves."""

    name = main_port = "k8s_worker"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("colobus-install", "magnum")
    wants: ClassVar[tuple[str, ...]] = ("front_door", "scheduler")
    module = "services.k8s_worker"

    def render(self) -> None:
        """Write what clusters are made of."""
        self.account.own(self.folder)
        self.write_private("cluster_templates.yaml", recipes(version(self.site)))

    def own_settings(self) -> dict[str, str]:
        """Return where the service user's password and the recipes are."""
        return {
            "COLOBUS_CLOUDS_FILE": str(self.folder / "clouds.yaml"),
            "COLOBUS_CLUSTER_TEMPLATES_FILE": str(self.folder / "cluster_templates.yaml"),
        }


class StackWorker(Service):
    """The one who asks Heat."""

    name = main_port = "stack_worker"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("colobus-install", "heat")
    wants: ClassVar[tuple[str, ...]] = ("front_door", "scheduler")
    module = "services.stack_worker"

    def own_settings(self) -> dict[str, str]:
        """Return where the service user's password is."""
        return {"COLOBUS_CLOUDS_FILE": str(self.folder / "clouds.yaml")}


class WebhookWorker(Service):
    """The sender of webhooks."""

    name = main_port = "webhook_worker"
    module = "services.webhook_worker"

    def own_settings(self) -> dict[str, str]:
        """Return which private addresses webhooks may go to."""
        return {"COLOBUS_WEBHOOK_ALLOWED_NETWORKS": ALLOWED_NETWORKS}


class WebhookReceiver(Process):
    """Somebody for webhooks to go to, who keeps them in memory and shows them."""

    name = main_port = "webhook-receiver"
    module = "devcloud.webhook_receiver"
    sources = ("devcloud/webhook_receiver.py",)
    health_path = "/healthz"

    def environment(self) -> dict[str, str]:
        """Return where it listens."""
        return {"WEBHOOK_RECEIVER_PORT": str(self.site.ports[self.name])}
