"""A Colobus of the tests' own: real processes on the real broker, database and cloud.

It has its own virtual host, database, users and ports, so that it runs beside the demo.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import asyncpg
import yaml

from services.admin.credentials import Credentials
from services.admin.environment import environment_of
from services.admin.install import install
from services.admin.settings import AdminSettings
from shared.runtime.patience import patiently
from shared.runtime.settings import Secret
from tests.support.conditions import eventually_sync

ROOT = Path(__file__).resolve().parents[2]
#: A broker on a busy machine may take its time for a new virtual host, in seconds.
INSTALL_SECONDS = 120
#: What the tests' own servers listen on.
PORTS = range(16_000, 21_000)
SERVICES = ("scheduler", "vm_worker", "webhook_worker", "front_door")
#: Of a cloud that nobody asks, where what runs needs none.
NO_CLOUD = {
    "DEVCLOUD_AUTH_URL": "http://127.0.0.1:1/v3",
    "OS_CLIENT_CONFIG_FILE": "none",
    "DEVCLOUD_PROJECT_ID_BIGTOP": "project-1",
    "DEVCLOUD_PROJECT_ID_OPENLAB": "project-2",
}


@dataclass(frozen=True)
class Metal:
    """A metal's entries in the tenants file and in the baremetal_worker's metals file."""

    tenants: dict[str, object]
    worker: dict[str, object]


@dataclass
class Installation:
    """``tokens``: {tenant: a member's static token}.

    A process is named after its service; further replicas of it are ``<service>.2`` and so on.
    ``extra``: {service or process: {variable: value}}, beyond what every installation has.
    """

    name: str
    folder: Path
    admin: AdminSettings
    tokens: dict[str, str]
    ports: dict[str, int]
    extra: dict[str, dict[str, str]]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    #: {service: module} where something else is to run in its place, with its settings.
    modules: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of the first front door."""
        return self.url_of("front_door")

    def url_of(self, process: str) -> str:
        """Where the process listens."""
        return f"http://127.0.0.1:{self.ports[process]}"

    def broker_user(self, tenant: str) -> str:
        """The tenant's own user on the broker."""
        return f"ci-{tenant}-{self.name}"

    def amqp_url(self, tenant: str) -> str:
        """The broker, as the tenant's own user."""
        user = self.broker_user(tenant)
        password = Credentials(self.admin.credentials_dir).amqp_password(user, make=False)
        return with_login(self.admin.admin_amqp_url[0], user, password)

    def environment(self, process: str) -> dict[str, str]:
        """What the process is started with."""
        service = service_of(process)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COLOBUS_INSTALLATION_ID": self.name,
            "COLOBUS_HTTP_PORT": str(self.ports[process]),
            "COLOBUS_LOG_LEVEL": "info",
            "COLOBUS_DRAIN_SECONDS": "10",
            **environment_of(service, self.admin),
            **self.extra.get(service, {}),
            **(self.extra.get(process, {}) if process != service else {}),
        }

    def start(self, *processes: str) -> None:
        """Start these (the first of each service, if none is named); wait until each is ready.

        Not in another thread: they are killed when the thread that started them ends.
        """
        for process in processes or SERVICES:
            self.spawn(process)
        for process in processes or SERVICES:
            self.wait_ready(process)

    def spawn(self, process: str) -> None:
        """Start one without waiting for it."""
        if process not in self.ports:
            (self.ports[process],) = free_ports(1)
        with self.log(process).open("ab") as log:
            # Should the tests themselves be killed, nothing of theirs is to live on.
            command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m"]
            service = service_of(process)
            self.processes[process] = subprocess.Popen(
                [*command, self.modules.get(service, f"services.{service}")],
                cwd=ROOT,
                env=self.environment(process),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, process: str) -> None:
        """Wait until the process says that it is ready; fail with its log when it has ended."""

        def ready() -> bool:
            code = self.processes[process].poll()
            if code is not None:
                tail = self.log(process).read_text(errors="replace")[-3000:]
                raise AssertionError(f"{process} ended with {code}:\n{tail}")
            return _answers(f"{self.url_of(process)}/readyz")

        eventually_sync(ready, within=90, what=f"{process} is ready")

    def kill(self, process: str) -> None:
        """Kill -9, as a crash would."""
        self.processes[process].kill()
        self.processes[process].wait()

    def stop(self, *processes: str) -> None:
        """SIGTERM to these (all), and wait for the drain; fails when one doesn't end well."""
        running = [p for p in processes or list(self.processes) if p in self.processes]
        for process in running:
            self.processes[process].send_signal(signal.SIGTERM)
        for process in running:
            code = self.processes.pop(process).wait(timeout=60)
            assert code in {0, -signal.SIGKILL}, f"{process} ended with {code}"

    def log(self, process: str) -> Path:
        """Where the process' output goes."""
        return self.folder / f"{process}.log"


def service_of(process: str) -> str:
    """Return the service that a process is a replica of."""
    return process.partition(".")[0]


def with_login(url: str, user: str, password: str) -> str:
    """Return the URL with this user and password instead of its own."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{address}").geturl()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def free_ports(count: int) -> list[int]:
    """Ports that are free, and are given to nobody else until this process ends.

    Below those of devcloud and those that the kernel hands out to clients.
    """
    untried = random.sample(PORTS, len(PORTS))
    ports = list(itertools.islice(filter(_claimed, untried), count))
    assert len(ports) == count, f"no {count} ports of {PORTS} are free"
    return ports


def _claimed(port: int) -> bool:
    """Claim the port for this process, whichever others look for some; tell whether it is ours."""
    folder = Path(tempfile.gettempdir()) / f"colobus-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        os.close(claim)
        return False
    return True  # the claim stays open: the lock goes with the process, and no child has it


@contextmanager
def installation(
    cloud: Mapping[str, str],
    folder: Path,
    quotas: Mapping[str, Mapping[str, int]],
    extra: Mapping[str, Mapping[str, str]] | None = None,
    *,
    projects: Mapping[str, Mapping[str, str]] | None = None,
    archs: Mapping[str, Sequence[str]] | None = None,
    stores: Mapping[str, Mapping[str, object]] | None = None,
    metals: Mapping[str, Metal] | None = None,
) -> Iterator[Installation]:
    """Install a Colobus for tenants named as devcloud's projects; everything goes at the end.

    ``extra``: {service: {variable: value}} beyond what every installation has. ``projects``:
    {tenant: {cloud: project id}} of those that have other ones than devcloud's first cloud.
    ``archs``: {cloud: architectures}, where they are declared. ``stores``: what the iscsi_worker's
    stores file says, ``metals``: what the tenants file and the baremetal_worker's metals file say;
    these two are started by their names only.
    """
    name = f"test{secrets.token_hex(4)}"
    admin = _admin_settings(cloud, name, folder)
    tokens = {tenant: secrets.token_urlsafe(24) for tenant in quotas}
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
        made.extra[service] = {**made.extra.get(service, {}), **variables}
    others = projects or {}
    firsts = {
        tenant: {"devcloud": cloud[f"DEVCLOUD_PROJECT_ID_{tenant.upper()}"]}
        for tenant in quotas
        if tenant not in others
    }
    _write_tenants(made, {**firsts, **others}, quotas, archs or {}, stores or {}, metals or {})
    if stores:
        path = folder / "stores.yaml"
        path.write_text(yaml.safe_dump({"stores": {name: dict(of) for name, of in stores.items()}}))
        made.extra.setdefault("iscsi_worker", {})["COLOBUS_STORES_FILE"] = str(path)
    if metals:
        path = folder / "metals.yaml"
        path.write_text(
            yaml.safe_dump({"metals": {name: of.worker for name, of in metals.items()}})
        )
        made.extra["baremetal_worker"] = {
            "COLOBUS_METALS_FILE": str(path),
            "COLOBUS_CLOUDS_FILE": cloud["OS_CLIENT_CONFIG_FILE"],
        }
    asyncio.run(patiently(lambda: install(admin), INSTALL_SECONDS, name="installation"))
    try:
        yield made
    finally:
        try:
            made.stop()
        finally:
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
    made: Installation,
    projects: Mapping[str, Mapping[str, str]],
    quotas: Mapping[str, Mapping[str, int]],
    archs: Mapping[str, Sequence[str]],
    stores: Iterable[str],
    metals: Mapping[str, Metal],
) -> None:
    tenants = {
        tenant: {
            "projects": dict(projects[tenant]),
            "broker_user": made.broker_user(tenant),
            "tokens": [
                {
                    "name": "tests",
                    "sha256": hashlib.sha256(made.tokens[tenant].encode()).hexdigest(),
                    "role": "member",
                }
            ],
            "quota": dict(quota),
        }
        for tenant, quota in quotas.items()
    }
    clouds = {name: {"archs": list(of_cloud)} for name, of_cloud in archs.items()}
    known = {
        "tenants": tenants,
        "clouds": clouds,
        "stores": {name: {} for name in stores},
        "metals": {name: of.tenants for name, of in metals.items()},
    }
    text = yaml.safe_dump(known)
    (made.folder / "tenants.yaml").write_text(text)


def _common_settings(cloud: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        "scheduler": {
            # Often enough for tests to wait for it, and not so that looking is what clouds do most.
            "COLOBUS_INSPECT_SLOW_SECONDS": "8",
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        },
        "vm_worker": {
            "COLOBUS_CLOUDS_FILE": cloud["OS_CLIENT_CONFIG_FILE"],
            "COLOBUS_NOTIFICATIONS_URLS": _notifications(cloud),
        },
        "k8s_worker": {"COLOBUS_CLOUDS_FILE": cloud["OS_CLIENT_CONFIG_FILE"]},
        "stack_worker": {"COLOBUS_CLOUDS_FILE": cloud["OS_CLIENT_CONFIG_FILE"]},
        "webhook_worker": {
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "1,1,2,2,5,5,5",
        },
        "front_door": {
            "COLOBUS_KEYSTONE_URLS": f"devcloud={cloud['DEVCLOUD_AUTH_URL']}",
            "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        },
    }


def _notifications(cloud: Mapping[str, str]) -> str:
    """The cloud's own broker; none where a test has no cloud."""
    url = cloud.get("DEVCLOUD_NOTIFICATIONS_AMQP_URL")
    return f"devcloud={url}" if url else ""


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
