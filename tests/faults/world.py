"""What is broken and mended: one installation behind cables that can be pulled, and its cloud."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from devcloud.api import Supervisor
from tests.faults.schedule import CABLES, COMPONENTS
from tests.faults.trees import below, resume
from tests.support.balancer import Balancer
from tests.support.cloud import NOTHING, Cloud
from tests.support.installation import SERVICES, Installation, service_of
from tests.support.proxy import Proxy
from tests.support.webhooks import Receiver, receiving

#: Two replicas of each service.
PAIRS = (*SERVICES, *(f"{service}.2" for service in SERVICES))
_DUPLICATES = "colobus_worker_duplicates_removed_total"
#: Short enough that what a killed sender had claimed is tried again within the test's patience.
_WEBHOOKS = {"COLOBUS_WEBHOOK_TIMEOUT": "4", "COLOBUS_WEBHOOK_LEASE": "8"}


@dataclass
class World:
    """``url``: where requesters go; ``cables`` is empty where nothing is to be cut.

    ``duplicates``: {what: how many second objects the workers have found and removed};
    ``gave_up``: the services that were to be killed, and had ended by themselves before.
    """

    colobus: Installation
    cloud: Cloud
    receiver: Receiver
    url: str
    cables: dict[str, Proxy] = field(default_factory=dict)
    duplicates: Counter[str] = field(default_factory=Counter)
    gave_up: list[str] = field(default_factory=list)

    @property
    def supervisor(self) -> Supervisor:
        """Who starts and stops the parts of the cloud."""
        return self.cloud.supervisor

    def pids(self, component: str) -> list[int]:
        """Return the first process of each daemon of a part of the cloud that runs."""
        processes = self.supervisor.site.processes
        found = [processes.pid(d.name) for d in self.supervisor.components[component].daemons()]
        return [pid for pid in found if pid is not None]

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
async def a_world(
    environment: dict[str, str], colobus: Installation, cloud: Cloud
) -> AsyncIterator[World]:
    """Run ``colobus`` behind proxies; everything stands at the end as it did before."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        cables = {
            name: await stack.enter_async_context(Proxy.to(target))
            for name, target in _targets(environment, colobus, cloud).items()
        }
        assert set(cables) == set(CABLES)
        _lead_through(colobus, cables)
        world = World(colobus, cloud, receiver, colobus.url, cables)
        for component in COMPONENTS:  # a run that was killed may have left some paused
            world.supervisor.resume(component)
            resume(below(world.pids(component)))
        await stack.enter_async_context(running(colobus, SERVICES))
        yield world


@asynccontextmanager
async def a_world_of_pairs(colobus: Installation, cloud: Cloud) -> AsyncIterator[World]:
    """Run ``colobus`` with two replicas of each service, the front doors behind a balancer."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        colobus.extra["webhook_worker"] |= _WEBHOOKS
        await stack.enter_async_context(running(colobus, PAIRS))
        doors = [colobus.url_of(name) for name in PAIRS if service_of(name) == "front_door"]
        balancer = await stack.enter_async_context(Balancer.to(*doors))
        yield World(colobus, cloud, receiver, balancer.url)


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


def leave_nothing(cloud: Cloud) -> None:
    """Assert that nothing is left that no census has judged; remove it, and the networks."""
    left = cloud.holds()
    cloud.clear()
    servers = [server["id"] for server in left.servers]
    others = [one.id for one in (*left.ports, *left.floating_ips)]
    assert left.counts == NOTHING, f"the cloud still held servers {servers}, and {others}"


def _targets(environment: dict[str, str], colobus: Installation, cloud: Cloud) -> dict[str, str]:
    """Return where each cable leads."""
    found = {"vm_worker-keystone": environment["DEVCLOUD_AUTH_URL"]}
    for api, kind in (("nova", "compute"), ("neutron", "network")):
        found[f"vm_worker-{api}"] = cloud.admin.session.get_endpoint(service_type=kind)
    for service in SERVICES:
        variables = colobus.environment(service)
        found[f"{service}-broker"] = variables["COLOBUS_AMQP_URLS"]
        if "COLOBUS_DATABASE_DSN" in variables:
            found[f"{service}-database"] = variables["COLOBUS_DATABASE_DSN"]
    return found


def _lead_through(colobus: Installation, cables: dict[str, Proxy]) -> None:
    for service in SERVICES:
        variables = colobus.extra.setdefault(service, {})
        variables["COLOBUS_AMQP_URLS"] = cables[f"{service}-broker"].url
        if f"{service}-database" in cables:
            variables["COLOBUS_DATABASE_DSN"] = cables[f"{service}-database"].url
    worker = colobus.extra["vm_worker"]
    clouds = yaml.safe_load(Path(worker["COLOBUS_CLOUDS_FILE"]).read_text())
    worker["COLOBUS_CLOUDS_FILE"] = str(_clouds_file(colobus.folder, clouds, cables))
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
