"""What is broken and mended: one installation behind cables that can be pulled, and its cloud."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from devcloud.api import Supervisor
from services.admin.environment import environment_of
from tests.faults.bare_metal import BareMetal
from tests.faults.default_networks import default_networks, projects_of, wrong
from tests.faults.plan import QUOTAS, Wares
from tests.faults.schedule import CABLES, COMPONENTS, PAIRS
from tests.faults.trees import below, resume
from tests.faults.works import Works
from tests.support import devcloud
from tests.support.balancer import Balancer
from tests.support.cloud import NOTHING, Cloud
from tests.support.installation import SERVICES, Installation, installation, service_of
from tests.support.proxy import Proxy
from tests.support.webhooks import Receiver, receiving

#: What must run of the cloud, with what these require.
PARTS = ("catalog", "nova", "rabbitmq", "postgresql")
_DUPLICATES = "colobus_worker_duplicates_removed_total"
#: Short enough that what a killed sender had claimed is tried again within the test's patience.
_WEBHOOKS = {"COLOBUS_WEBHOOK_TIMEOUT": "4", "COLOBUS_WEBHOOK_LEASE": "8"}


@dataclass
class World:
    """``url``: where requesters go; ``cables`` is empty where nothing is to be cut.

    ``duplicates``: {what: how many second objects the workers have found and removed};
    ``gave_up``: the services that were to be killed, and had ended by themselves before. ``works``:
    what makes something else than VMs; None where only those are made. ``quiet`` has nothing sent
    beside the burst as long as it is entered.
    """

    colobus: Installation
    cloud: Cloud
    receiver: Receiver
    url: str
    cables: dict[str, Proxy] = field(default_factory=dict)
    duplicates: Counter[str] = field(default_factory=Counter)
    gave_up: list[str] = field(default_factory=list)
    works: Works | None = None
    quiet: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    _abandoned: bool = False

    @property
    def supervisor(self) -> Supervisor:
        """Who starts and stops the parts of the cloud."""
        return self.cloud.supervisor

    @property
    def bare_metal(self) -> BareMetal:
        """Where machines are made; there is one where a fault asks for it."""
        assert isinstance(self.works, BareMetal)
        return self.works

    @property
    def wares(self) -> Wares:
        """What there is to be asked for."""
        return Wares() if self.works is None else self.works.wares

    @property
    def projects(self) -> dict[str, str]:
        """{project: the tenant that has it}, of all clouds."""
        assert self.colobus.admin.tenants_file is not None
        return projects_of(self.colobus.admin.tenants_file)

    @property
    def _components(self) -> tuple[str, ...]:
        return COMPONENTS if self.works is None else (*COMPONENTS, *self.works.components)

    def pids(self, component: str) -> list[int]:
        """Return the first process of each daemon of a part of the cloud that runs."""
        processes = self.supervisor.site.processes
        found = [processes.pid(d.name) for d in self.supervisor.components[component].daemons()]
        return [pid for pid in found if pid is not None]

    def go_on(self) -> None:
        """Resume what is paused of the cloud."""
        for component in self._components:
            self.supervisor.resume(component)
            resume(below(self.pids(component)))
        if self.works is not None:
            self.works.go_on()

    async def abandon(self) -> None:
        """Kill the services, for nobody knows what they are at; bring the cloud up again."""
        self._abandoned = True
        for process in self.colobus.processes.values():
            process.kill()
        self.go_on()
        await asyncio.to_thread(
            devcloud.up, *PARTS, *(() if self.works is None else self.works.parts)
        )

    def leave(self) -> None:
        """Remove all that is left, the networks too: only of what was abandoned may there be any.

        And one default network for each tenant. Everything else has been judged by a census.
        """
        left = self.cloud.holds()
        commons = default_networks(self.cloud, self.projects)
        self.cloud.clear()
        servers = [server["id"] for server in left.servers]
        others = [one.id for one in (*left.ports, *left.floating_ips)]
        extra = list(wrong(commons, served=set(self.projects.values())))
        said = f"the cloud still held servers {servers}, and {others}; {extra}"
        assert self._abandoned or (left.counts == NOTHING and not extra), said

    async def count_duplicates(self, process: str) -> None:
        """Add up what the process has counted, before its counters are gone."""
        url = f"{self.colobus.url_of(process)}/metrics"
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url) as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return  # it is paused, or cut off: what it has counted stays unknown
        for line in text.splitlines():
            if line.startswith(_DUPLICATES):
                name, _, value = line.rpartition(" ")
                self.duplicates[name.partition('what="')[2].partition('"')[0]] += int(float(value))

    def kill(self, process: str) -> None:
        """Kill -9 a service, and note it if it had ended by itself."""
        running = self.colobus.processes[process]
        alone = running.poll() is not None
        self.colobus.kill(process)
        if alone or running.returncode != -signal.SIGKILL:
            self.gave_up.append(_ended(process, running))

    def ended(self) -> list[str]:
        """Return the services that have ended by themselves, also those that run again."""
        now = [
            _ended(name, process)
            for name, process in self.colobus.processes.items()
            if process.poll() is not None
        ]
        return [*self.gave_up, *now]


def _ended(name: str, process: subprocess.Popen[bytes]) -> str:
    return f"{name} ended with {process.returncode}"


@asynccontextmanager
async def installed(
    environment: Mapping[str, str],
    folder: Path,
    quotas: Mapping[str, Mapping[str, int]] = QUOTAS,
    **places: Any,
) -> AsyncIterator[Installation]:
    """Install a Colobus, not running yet: in another thread, where it has a loop of its own.

    ``places``: its stores and metals, as `installation` takes them.
    """
    made = installation(environment, folder, quotas, **places)
    colobus = await asyncio.to_thread(made.__enter__)
    try:
        yield colobus
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)


@asynccontextmanager
async def a_world(
    environment: dict[str, str],
    colobus: Installation,
    cloud: Cloud,
    works: Works | None = None,
) -> AsyncIterator[World]:
    """Run ``colobus`` behind proxies; the cloud is empty at the end."""
    services = SERVICES if works is None else works.services
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        cables = {
            name: await stack.enter_async_context(Proxy.to(target))
            for name, target in _targets(environment, colobus, cloud, works).items()
        }
        assert set(cables) >= set(CABLES)
        _lead_through(colobus, cables, works)
        world = World(colobus, cloud, receiver, colobus.url, cables, works=works)
        stack.push_async_callback(asyncio.to_thread, world.leave)
        world.go_on()  # a run that was killed may have left something paused
        await stack.enter_async_context(running(colobus, services))
        yield world


@asynccontextmanager
async def a_world_of_pairs(colobus: Installation, cloud: Cloud) -> AsyncIterator[World]:
    """Run ``colobus`` with two replicas of each service, the front doors behind a balancer."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        colobus.extra["webhook_worker"] |= _WEBHOOKS
        world = World(colobus, cloud, receiver, "")
        stack.push_async_callback(asyncio.to_thread, world.leave)
        await stack.enter_async_context(running(colobus, PAIRS))
        doors = [colobus.url_of(name) for name in PAIRS if service_of(name) == "front_door"]
        world.url = (await stack.enter_async_context(Balancer.to(*doors))).url
        yield world


@asynccontextmanager
async def running(colobus: Installation, processes: Sequence[str]) -> AsyncIterator[None]:
    """Start these, and stop them in good order at the end."""
    for process in processes:
        colobus.spawn(process)
    for process in processes:
        await asyncio.to_thread(colobus.wait_ready, process)
    try:
        yield
    finally:
        await asyncio.to_thread(colobus.stop)


def _targets(
    environment: dict[str, str], colobus: Installation, cloud: Cloud, works: Works | None
) -> dict[str, str]:
    """Return where each cable leads."""
    found = {"vm_worker-keystone": environment["DEVCLOUD_AUTH_URL"]}
    for api, kind in (("nova", "compute"), ("neutron", "network")):
        found[f"vm_worker-{api}"] = cloud.admin.session.get_endpoint(service_type=kind)
    if works is not None:
        found |= works.leads(cloud)
    for service in SERVICES if works is None else works.services:
        variables = environment_of(service, colobus.admin)
        found[f"{service}-broker"] = variables["COLOBUS_AMQP_URLS"]
        if "COLOBUS_DATABASE_DSN" in variables:
            found[f"{service}-database"] = variables["COLOBUS_DATABASE_DSN"]
    return found


def _lead_through(colobus: Installation, cables: dict[str, Proxy], works: Works | None) -> None:
    for service in SERVICES if works is None else works.services:
        variables = colobus.extra.setdefault(service, {})
        variables["COLOBUS_AMQP_URLS"] = cables[f"{service}-broker"].url
        if f"{service}-database" in cables:
            variables["COLOBUS_DATABASE_DSN"] = cables[f"{service}-database"].url
    worker = colobus.extra["vm_worker"]
    clouds = yaml.safe_load(Path(worker["COLOBUS_CLOUDS_FILE"]).read_text())
    if works is not None:
        works.lead_through(clouds["clouds"], cables)
    file = str(_clouds_file(colobus.folder, clouds, cables))
    for variables in colobus.extra.values():
        if "COLOBUS_CLOUDS_FILE" in variables:
            variables["COLOBUS_CLOUDS_FILE"] = file
    colobus.extra["webhook_worker"] |= _WEBHOOKS


def _clouds_file(folder: Path, clouds: dict[str, Any], cables: dict[str, Proxy]) -> Path:
    devcloud = clouds["clouds"]["devcloud"]
    auth = devcloud["auth"]
    auth["auth_url"] = cables["vm_worker-keystone"].instead_of(auth["auth_url"])
    devcloud["compute_endpoint_override"] = cables["vm_worker-nova"].url
    devcloud["network_endpoint_override"] = cables["vm_worker-neutron"].url
    path = folder / "clouds.yaml"
    path.write_text(yaml.safe_dump(clouds))
    return path
