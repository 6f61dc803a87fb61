"""A Colobus of the tests' own: real processes on the real broker, database and cloud.

It has its own virtual host, database, users and ports, so that it runs beside the demo.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import yaml

from services.admin.environment import environment_of
from services.admin.install import install
from services.admin.settings import AdminSettings
from shared.runtime.settings import Secret
from tests.support.conditions import eventually_sync

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("scheduler", "vm_worker", "webhook_worker", "front_door")


@dataclass
class Installation:
    """``tokens``: {tenant: a member's static token}; ``url``: of the front door."""

    name: str
    folder: Path
    admin: AdminSettings
    tokens: dict[str, str]
    ports: dict[str, int]
    extra: dict[str, dict[str, str]]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['front_door']}"

    def environment(self, service: str) -> dict[str, str]:
        """What the service is started with."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COLOBUS_INSTALLATION_ID": self.name,
            "COLOBUS_HTTP_PORT": str(self.ports[service]),
            "COLOBUS_LOG_LEVEL": "info",
            "COLOBUS_DRAIN_SECONDS": "10",
            **environment_of(service, self.admin),
            **self.extra.get(service, {}),
        }

    def start(self, *services: str) -> None:
        """Start these (all, if none is named) and wait until each is ready.

        Not in another thread: they are killed when the thread that started them ends.
        """
        for service in services or SERVICES:
            with self.log(service).open("ab") as log:
                # Should the tests themselves be killed, nothing of theirs is to live on.
                command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m"]
                self.processes[service] = subprocess.Popen(
                    [*command, f"services.{service}"],
                    cwd=ROOT,
                    env=self.environment(service),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        for service in services or SERVICES:
            self.wait_ready(service)

    def wait_ready(self, service: str) -> None:
        """Wait until the service says that it is ready; fail with its log when it has ended."""

        def ready() -> bool:
            code = self.processes[service].poll()
            if code is not None:
                tail = self.log(service).read_text(errors="replace")[-3000:]
                raise AssertionError(f"{service} ended with {code}:\n{tail}")
            return _answers(f"http://127.0.0.1:{self.ports[service]}/readyz")

        eventually_sync(ready, within=90, what=f"{service} is ready")

    def kill(self, service: str) -> None:
        """Kill -9, as a crash would."""
        self.processes[service].kill()
        self.processes[service].wait()

    def stop(self, *services: str) -> None:
        """SIGTERM, and wait for the drain; fails when a service doesn't end well."""
        running = [s for s in services or SERVICES if s in self.processes]
        for service in running:
            self.processes[service].send_signal(signal.SIGTERM)
        for service in running:
            code = self.processes.pop(service).wait(timeout=60)
            assert code in {0, -signal.SIGKILL}, f"{service} ended with {code}"

    def log(self, service: str) -> Path:
        """Where the service's output goes."""
        return self.folder / f"{service}.log"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def free_ports(count: int) -> list[int]:
    """Ports that are free now, below those that the kernel hands out to clients."""
    ports: list[int] = []
    while len(ports) < count:
        port = 20000 + secrets.randbelow(1000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


@contextmanager
def installation(
    cloud: Mapping[str, str],
    folder: Path,
    quotas: Mapping[str, Mapping[str, int]],
    extra: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Installation]:
    """Install a Colobus for tenants named as devcloud's projects; everything goes at the end.

    ``extra``: {service: {variable: value}} beyond what every installation has.
    """
    name = f"test{secrets.token_hex(4)}"
    admin = _admin_settings(cloud, name, folder)
    tokens = {tenant: secrets.token_urlsafe(24) for tenant in quotas}
    _write_tenants(folder / "tenants.yaml", cloud, quotas, tokens)
    asyncio.run(install(admin))
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    made = Installation(
        name=name,
        folder=folder,
        admin=admin,
        tokens=tokens,
        ports=ports,
        extra=_common_settings(cloud),
    )
    for service, variables in (extra or {}).items():
        made.extra[service] |= variables
    try:
        yield made
    finally:
        made.stop()
        asyncio.run(_remove(admin, name))


def _admin_settings(cloud: Mapping[str, str], name: str, folder: Path) -> AdminSettings:
    def moved(url: str) -> Secret:
        return Secret(f"{url.rpartition('/')[0]}/{name}")

    return AdminSettings(
        admin_amqp_url=(moved(cloud["DEVCLOUD_AMQP_URL"]),),
        admin_amqp_management_url=Secret(cloud["DEVCLOUD_AMQP_MANAGEMENT_URL"]),
        admin_database_dsn=moved(cloud["DEVCLOUD_POSTGRES_DSN"]),
        credentials_dir=folder / "credentials",
        tenants_file=folder / "tenants.yaml",
        role_suffix=name,
    )


def _write_tenants(
    path: Path,
    cloud: Mapping[str, str],
    quotas: Mapping[str, Mapping[str, int]],
    tokens: Mapping[str, str],
) -> None:
    tenants = {
        tenant: {
            "projects": {"devcloud": cloud[f"DEVCLOUD_PROJECT_ID_{tenant.upper()}"]},
            "tokens": [
                {
                    "name": "tests",
                    "sha256": hashlib.sha256(tokens[tenant].encode()).hexdigest(),
                    "role": "member",
                }
            ],
            "quota": dict(quota),
        }
        for tenant, quota in quotas.items()
    }
    path.write_text(yaml.safe_dump({"tenants": tenants}))


def _common_settings(cloud: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        "scheduler": {
            "COLOBUS_INSPECT_SLOW_SECONDS": "3",
        },
        "vm_worker": {"COLOBUS_CLOUDS_FILE": cloud["OS_CLIENT_CONFIG_FILE"]},
        "webhook_worker": {
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "1,1,2,2,5,5,5",
        },
        "front_door": {
            "COLOBUS_KEYSTONE_URLS": f"devcloud={cloud['DEVCLOUD_AUTH_URL']}",
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        },
    }


async def _remove(admin: AdminSettings, name: str) -> None:
    """Take away what the installation had on the shared servers."""
    broker = urlsplit(str.__str__(admin.admin_amqp_management_url))
    base = f"http://{broker.hostname}:{broker.port}/api"
    login = aiohttp.encode_basic_auth(broker.username or "", broker.password or "")
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
        await session.delete(f"{base}/vhosts/{name}")
        async with session.get(f"{base}/users") as response:
            users = [user["name"] for user in await response.json()]
        for user in users:
            if user.endswith(f"-{name}"):
                await session.delete(f"{base}/users/{user}")
    server = str.__str__(admin.admin_database_dsn).rpartition("/")[0] + "/postgres"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for role in await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE $1", f"%\\_{name}"
        ):
            await connection.execute(f'DROP ROLE "{role["rolname"]}"')
    finally:
        await connection.close()
