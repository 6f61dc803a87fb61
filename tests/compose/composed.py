"""An installation made by compose.yaml, on the real cloud."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from devcloud.api import open_devcloud
from tests.compose.engine import Engine
from tests.compose.forwarder import Forwarder, forwarding
from tests.support.conditions import eventually_sync
from tests.support.installation import ROOT
from tests.support.webhooks import Receiver

SERVICES = ("front_door", "scheduler", "vm_worker", "webhook_worker")
CLOUD_PARTS = ("keystone", "nova-api", "neutron", "glance", "placement")
#: Not the name that the user's own installation has.
IMAGE = "colobus-test/colobus"
TENANT, QUOTA = "bigtop", {"vms": 12, "floating_ips": 8}


@dataclass(frozen=True)
class Composed:
    """``token`` is a member's of the tenant; ``gateway``: where containers find this machine.

    ``to_receiver`` leads from there to the receiver of webhooks that a test has.
    """

    engine: Engine
    name: str
    files: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    gateway: str
    to_receiver: Forwarder
    token: str

    def compose(self, *arguments: str, timeout: float = 900) -> str:
        """Run ``docker compose`` for this project; return what it prints."""
        return self._with_settings.docker(*self._project, *arguments, timeout=timeout)

    def logs(self) -> str:
        """All that all containers have said."""
        return self._with_settings.said(*self._project, "logs", "--no-color")

    @property
    def _with_settings(self) -> Engine:
        settings = {**self.engine.environment, **self.environment}
        return Engine(self.engine.command, settings, self.engine.own)

    @property
    def _project(self) -> list[str]:
        files = [part for file in self.files for part in ("--file", file)]
        names = ["--project-directory", str(ROOT), "--project-name", self.name]
        return ["compose", *names, *files]

    def container(self, service: str, index: int = 1) -> str:
        """The name of a container."""
        return f"{self.name}-{service}-{index}"

    def url(self, index: int = 1) -> str:
        """Where a replica of the front door is published on this machine."""
        return f"http://{self.published('front_door', 8080, index)}"

    def published(self, service: str, port: int, index: int = 1) -> str:
        """Where on this machine a container's port is: address and port."""
        return self.compose("port", "--index", str(index), service, str(port))

    def hook(self, receiver: Receiver) -> str:
        """The receiver's URL as containers reach it."""
        port = urlsplit(receiver.base).port
        assert port is not None
        self.to_receiver.port = port
        return f"http://{self.gateway}:{self.to_receiver.server_address[1]}/hook"

    def inspect(self, container: str) -> dict[str, object]:
        """What the engine knows of a container."""
        found: list[dict[str, object]] = json.loads(self.engine.docker("inspect", container))
        return found[0]

    def run_in(self, container: str, *command: str) -> str:
        """Run a command in a container, as its own user."""
        return self.engine.docker("exec", container, *command)

    def kill(self, *containers: str) -> None:
        """Kill -9, as a crash would."""
        self.engine.docker("kill", *containers)

    def start(self, *containers: str) -> None:
        """Start what was killed; wait until it is healthy."""
        self.engine.docker("start", *containers)
        eventually_sync(lambda: self._healthy(containers), within=180, what="they are healthy")

    def _healthy(self, containers: Sequence[str]) -> bool:
        shown = self.engine.docker("inspect", "--format", "{{.State.Health.Status}}", *containers)
        return set(shown.split()) == {"healthy"}


@contextmanager
def composed(
    engine: Engine,
    cloud: Mapping[str, str],
    folder: Path,
    logs: Path,
    *overrides: str,
    settings: Mapping[str, str],
    files: Mapping[str, str],
) -> Iterator[Composed]:
    """Build, make secrets, bring everything up and wait for it.

    ``settings`` are more of what an operator would write to .env, ``files`` of what they would put
    into the folder of secrets, by name. Everything goes at the end, but for the file ``logs`` with
    what all containers have said.
    """
    name = f"test{secrets.token_hex(4)}"
    network = f"{name}-outside"
    engine.docker("network", "create", network)
    try:
        subnet, gateway = _addresses(engine, network)
        ports = [open_devcloud().site.ports[part] for part in CLOUD_PARTS]
        with (
            forwarding(gateway, subnet, {port: port for port in ports}),
            forwarding(gateway, subnet, {0: 0}) as (to_receiver,),
        ):
            made = Composed(
                engine=engine,
                name=name,
                files=_files(engine, overrides),
                environment={
                    **_settings(name, network, subnet, gateway, folder, engine),
                    **settings,
                },
                folder=folder / "secrets",
                gateway=gateway,
                to_receiver=to_receiver,
                token=secrets.token_urlsafe(24),
            )
            _write_operators_files(made, cloud)
            for file, text in files.items():
                _write_text(made.folder / file, text)
            yield from _running(made, logs)
    finally:
        engine.docker("network", "rm", network)


def _running(made: Composed, logs: Path) -> Iterator[Composed]:
    owner = f"{os.geteuid()}:{os.getegid()}"
    try:
        made.compose("build", *(["broker", "database"] if made.engine.own else []), "admin")
        made.compose("run", "--rm", "--user", owner, "secrets")
        made.compose("up", "--detach", "--wait", "--wait-timeout", "300")
        yield made
    finally:
        logs.write_text(made.logs())
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "60")


def _files(engine: Engine, overrides: tuple[str, ...]) -> tuple[str, ...]:
    built = ["tests/compose/compose.debian.yaml"] if engine.own else []
    found = ["compose.yaml", *overrides, *built, "tests/compose/compose.test.yaml"]
    return tuple(str(ROOT / file) for file in found)


def _settings(
    name: str, network: str, subnet: IPv4Network, gateway: str, folder: Path, engine: Engine
) -> dict[str, str]:
    """What an operator would write to .env."""
    keystone = open_devcloud().site.ports["keystone"]
    images = {"BROKER": "rabbitmq", "DATABASE": "postgres"} if engine.own else {}
    return {
        "COLOBUS_INSTALLATION_ID": name,
        "COLOBUS_IMAGE": IMAGE,
        "COLOBUS_SECRETS_DIR": str(folder / "secrets"),
        "COLOBUS_KEYSTONE_URLS": f"devcloud=http://{gateway}:{keystone}/v3",
        "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": str(subnet),
        "COLOBUS_TEST_NETWORK": network,
        **{f"COLOBUS_{part}_IMAGE": f"colobus-test/{image}" for part, image in images.items()},
    }


def _addresses(engine: Engine, network: str) -> tuple[IPv4Network, str]:
    (found,) = json.loads(engine.docker("network", "inspect", network))
    (config,) = found["IPAM"]["Config"]
    return IPv4Network(config["Subnet"]), config["Gateway"].partition("/")[0]


def _write_operators_files(made: Composed, cloud: Mapping[str, str]) -> None:
    made.folder.mkdir(mode=0o700)
    tenant = {
        "projects": {"devcloud": cloud[f"DEVCLOUD_PROJECT_ID_{TENANT.upper()}"]},
        "broker_user": f"ci-{TENANT}",
        "tokens": [
            {
                "name": "tests",
                "sha256": hashlib.sha256(made.token.encode()).hexdigest(),
                "role": "member",
            }
        ],
        "quota": QUOTA,
    }
    _write(made.folder / "tenants.yaml", {"tenants": {TENANT: tenant}})
    known = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["devcloud"]
    _write(made.folder / "clouds.yaml", {"clouds": {"devcloud": _moved(known, made.gateway)}})


def _moved(entry: dict[str, object], gateway: str) -> dict[str, object]:
    """The cloud as containers see it: its catalogue names this machine's loopback."""
    ports = open_devcloud().site.ports
    auth = entry["auth"]
    assert isinstance(auth, dict)
    path = urlsplit(auth["auth_url"]).path
    return {
        **entry,
        "auth": {**auth, "auth_url": f"http://{gateway}:{ports['keystone']}{path}"},
        "compute_endpoint_override": f"http://{gateway}:{ports['nova-api']}/v2.1",
        "network_endpoint_override": f"http://{gateway}:{ports['neutron']}",
        # Glance shows no version at an address of its own; without this it would be looked for.
        "image_api_version": "2",
        "image_endpoint_override": f"http://{gateway}:{ports['glance']}",
        "placement_endpoint_override": f"http://{gateway}:{ports['placement']}",
    }


def _write(path: Path, content: object) -> None:
    _write_text(path, yaml.safe_dump(content))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o444)
