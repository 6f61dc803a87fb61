"""Colobus' admin step, and what it shares with the services: they all run from this checkout."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from devcloud.account import Account
from devcloud.component import Component
from devcloud.components.postgresql import DATABASE, SUPERUSER, PostgreSQL
from devcloud.components.rabbitmq import RabbitMQ
from devcloud.credentials import write_private
from devcloud.machines import MACHINES
from devcloud.ports import HOST
from devcloud.tenants import CLOUD, CLOUDS
from devcloud.tools import ToolFailed

CHECKOUT = Path(__file__).parents[2]
#: What the hypervisor's driver says of all its hosts.
ARCHS = ("x86_64",)
#: The store of volumes: Ceph, with tgt before it.
STORE = "rack"
#: The machines of this cloud, which boot from there.
METAL = "lab"
QUOTA = {"vms": 20, "machines": 10, "floating_ips": 10, "volumes": 20, "volume_gib": 500}
WEIGHTS = {"bigtop": 2}


def token_name(tenant: str) -> str:
    """Return what the tenant's static token is called among the credentials."""
    return f"colobus-token-{tenant}"


def broker_user(tenant: str) -> str:
    """Return the tenant's own user on the broker, for its CI system."""
    return f"ci-{tenant}"


class FromCheckout(Component):
    """Something that runs from this checkout with the Python that runs us."""

    @cached_property
    def account(self) -> Account:
        """Return the daemons' user or, where that can't read the checkout, whoever calls."""
        probe = f"test -r '{CHECKOUT}/services/__init__.py' && test -x '{sys.executable}'"
        try:
            self.site.tools.read(["sh", "-c", probe])
        except ToolFailed:
            return Account("caller", os.geteuid(), os.getegid())
        return self.site.account

    @property
    def folder(self) -> Path:
        """Return where Colobus' settings and keys are."""
        return self.site.paths.state / "colobus"

    def admin_environment(self) -> dict[str, str]:
        """Return the settings of the admin step."""
        ports, credentials = self.site.ports, self.site.credentials
        broker = f"{RabbitMQ.user}:{credentials[RabbitMQ.name]}@{HOST}:{ports['rabbitmq']}"
        database = f"{SUPERUSER}:{credentials[PostgreSQL.name]}@{HOST}:{ports['postgresql']}"
        return {
            "COLOBUS_ADMIN_AMQP_URL": f"amqp://{broker}/{RabbitMQ.vhost}",
            "COLOBUS_ADMIN_AMQP_MANAGEMENT_URL": ports.url("rabbitmq-management"),
            "COLOBUS_ADMIN_DATABASE_DSN": f"postgresql://{database}/{DATABASE}",
            "COLOBUS_CREDENTIALS_DIR": str(self.folder / "credentials"),
            "COLOBUS_TENANTS_FILE": str(self.folder / "tenants.yaml"),
        }

    def write_private(self, name: str, content: Any) -> None:
        """Write a YAML file for the services only."""
        path = self.folder / name
        write_private(path, yaml.safe_dump(content), (self.account.uid, self.account.gid))


def python_environment() -> dict[str, str]:
    """Return what makes Python find the checkout's packages, and nothing else by chance."""
    return {"PYTHONPATH": str(CHECKOUT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def code_digest(*roots: str) -> str:
    """Return what changes with any source file under these folders of the checkout."""
    digest = hashlib.sha256()
    for path in _sources(roots):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def _sources(roots: tuple[str, ...]) -> Iterator[Path]:
    for root in roots:
        found = (CHECKOUT / root).rglob("*")
        yield from sorted(path for path in found if path.suffix in (".py", ".sql"))


class ColobusInstall(FromCheckout):
    """The tenants file, the keys, and what the admin step declares on broker and database."""

    name = "colobus-install"
    requires: ClassVar[tuple[str, ...]] = ("rabbitmq", "postgresql", "catalog")
    after: ClassVar[tuple[str, ...]] = ("bare-metal",)

    def configured(self) -> bool:
        """Tell whether it was done with the code and tenants of now."""
        try:
            return (self.folder / "installed").read_text() == self._wanted()
        except FileNotFoundError:
            return False

    def configure(self) -> None:
        """Write the files and run the admin step."""
        wanted = self._wanted()
        self.account.own(self.folder)
        self.write_private("tenants.yaml", self._tenants())
        clouds = yaml.safe_load(self.site.paths.clouds_yaml.read_text())["clouds"]
        self.write_private("clouds.yaml", {"clouds": {name: clouds[name] for name in CLOUDS}})
        self.site.tools.run(
            self.name,
            [sys.executable, "-m", "services.admin", "install"],
            as_caller=self.account != self.site.account,
            environment={**python_environment(), **self.admin_environment()},
        )
        (self.folder / "installed").write_text(wanted)

    def ready(self) -> bool:
        """Tell whether it was ever done; code that changes meanwhile is for the next `up`."""
        return (self.folder / "installed").exists()

    def _wanted(self) -> str:
        code = code_digest("services", "shared")
        return f"{code} {hashlib.sha256(json.dumps(self._tenants()).encode()).hexdigest()}"

    def _tenants(self) -> dict[str, Any]:
        known = json.loads(self.site.paths.tenants_json.read_text())
        return {
            "clouds": {cloud: {"archs": list(ARCHS)} for cloud in CLOUDS},
            "stores": {STORE: {}},
            "metals": self._metals(),
            "tenants": {name: self._tenant(name, facts) for name, facts in known.items()},
        }

    def _metals(self) -> dict[str, Any]:
        """Return the bare metal, once it was brought up: it is no part of every such cloud."""
        if not self.site.paths.nodes_yaml.exists():
            return {}
        archs = sorted({machine.arch for machine in MACHINES})
        return {METAL: {"store": STORE, "cloud": CLOUD, "archs": archs}}

    def _tenant(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        token = self.site.credentials[token_name(name)]
        digest = hashlib.sha256(token.encode()).hexdigest()
        return {
            "projects": facts.get("projects") or {CLOUD: facts["project_id"]},
            "broker_user": broker_user(name),
            "tokens": [{"name": "demo", "sha256": digest, "role": "member"}],
            "quota": QUOTA,
            "weight": WEIGHTS.get(name, 1),
        }
