"""Twenty at once by two tenants, half by POST and half by bus: all active, quotas respected."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase
from tests.support.ci import CiSystem, shown
from tests.support.cloud import Cloud
from tests.support.installation import Installation, installation

#: What each tenant may hold; so many are asked for at once, and then some more.
QUOTAS = {"bigtop": {"vms": 12}, "openlab": {"vms": 8}}
MORE = 2
SMALL = CreateVm(image="debian-12", flavor="small")
PATIENCE = 600
#: Between two looks at what is held, in seconds.
INTERVAL = 0.5


@pytest.fixture(scope="module")
def busy(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation whose quotas are just enough."""
    with installation(environment, tmp_path_factory.mktemp("busy"), QUOTAS) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def sky(environment: dict[str, str], busy: Installation) -> Iterator[Cloud]:
    """The cloud as its administrator sees it."""
    seen = Cloud(environment, busy.name)
    yield seen
    busy.stop()
    seen.clear()


@dataclass
class Tenant:
    """A tenant with both its ways of asking; ``by`` has what came of each."""

    name: str
    http: Client
    bus: CiSystem
    by: dict[str, list[str]] = field(default_factory=lambda: {"http": [], "bus": []})

    @property
    def vms(self) -> list[str]:
        return self.by["http"] + self.by["bus"]

    async def ask(self, count: int) -> None:
        """Ask for so many at once, every other by bus."""
        by_http = (self.http.create_vm(SMALL) for _ in range(0, count, 2))
        by_bus = (self.bus.create() for _ in range(1, count, 2))
        posted, published = await asyncio.gather(asyncio.gather(*by_http), asyncio.gather(*by_bus))
        self.by["http"] += [vm.id for vm in posted]
        self.by["bus"] += published
        await asyncio.gather(*(shown(self.http, vm) for vm in published))


@asynccontextmanager
async def _tenants(busy: Installation) -> AsyncIterator[list[Tenant]]:
    async with AsyncExitStack() as stack:
        yield [
            Tenant(
                name,
                await stack.enter_async_context(Client(busy.url, token=busy.tokens[name])),
                await stack.enter_async_context(CiSystem.of(name, busy.amqp_url(name))),
            )
            for name in QUOTAS
        ]


@dataclass
class Watch:
    """The most that each tenant ever held: by the ledger, and by Nova's own list."""

    by_ledger: dict[str, int] = field(default_factory=dict)
    by_nova: dict[str, int] = field(default_factory=dict)

    async def look(self, tenants: list[Tenant], cloud: Cloud, projects: dict[str, str]) -> None:
        for tenant in tenants:
            used = (await tenant.http.quota()).used.get("vms", 0)
            self.by_ledger[tenant.name] = max(used, self.by_ledger.get(tenant.name, 0))
        in_nova = Counter(one["tenant_id"] for one in await asyncio.to_thread(_servers, cloud))
        for name, project in projects.items():
            self.by_nova[name] = max(in_nova[project], self.by_nova.get(name, 0))

    @asynccontextmanager
    async def kept(
        self, tenants: list[Tenant], cloud: Cloud, projects: dict[str, str]
    ) -> AsyncIterator[None]:
        """Look again and again; rarely enough to leave the cloud to those who work with it."""
        over = asyncio.Event()

        async def keep() -> None:
            while not over.is_set():
                await self.look(tenants, cloud, projects)
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), INTERVAL)

        async with asyncio.TaskGroup() as group:
            group.create_task(keep())
            yield
            over.set()


@pytest.mark.timeout(7 * PATIENCE)
async def test_twenty_at_once_by_post_and_by_bus(
    environment: dict[str, str], busy: Installation, sky: Cloud
) -> None:
    """All become active at once, no quota is ever exceeded, what is more waits for its turn."""
    limits = {name: quota["vms"] for name, quota in QUOTAS.items()}
    projects = {name: environment[f"DEVCLOUD_PROJECT_ID_{name.upper()}"] for name in QUOTAS}
    watch = Watch()
    async with _tenants(busy) as tenants, watch.kept(tenants, sky, projects):
        await asyncio.gather(*(tenant.ask(limits[tenant.name]) for tenant in tenants))
        for tenant in tenants:
            await asyncio.gather(*(tenant.http.wait(vm, timeout=PATIENCE) for vm in tenant.vms))
        servers, ports = _made(sky)
        asked = [vm for tenant in tenants for vm in tenant.vms]
        assert servers == ports == dict.fromkeys(asked, 1)

        first = {tenant.name: list(tenant.vms) for tenant in tenants}
        await asyncio.gather(*(tenant.ask(MORE) for tenant in tenants))
        for tenant in tenants:
            more = [vm for vm in tenant.vms if vm not in first[tenant.name]]
            waiting = [await tenant.bus.until(vm, "waiting") for vm in more]
            assert {one["status"]["reason"] for one in waiting} == {"quota_exceeded"}
            for vm in first[tenant.name][:MORE]:
                await tenant.bus.do("delete", vm)
            await asyncio.gather(*(tenant.http.wait(vm, timeout=PATIENCE) for vm in more))

        # What came by POST is deleted by bus, and the other way round.
        for tenant in tenants:
            await asyncio.gather(*(tenant.http.delete(vm) for vm in tenant.by["bus"]))
            await asyncio.gather(*(tenant.bus.do("delete", vm) for vm in tenant.by["http"]))
        for tenant in tenants:
            await asyncio.gather(
                *(tenant.http.wait(vm, Phase.DELETED, timeout=PATIENCE) for vm in tenant.vms)
            )
        await _nothing_left(tenants, sky)
    assert watch.by_ledger == limits
    assert watch.by_nova == limits


async def _nothing_left(tenants: list[Tenant], sky: Cloud) -> None:
    """In Nova, in Neutron, in the ledger, and told to nobody twice as another machine."""
    for tenant in tenants:
        assert (await tenant.http.quota()).used.get("vms", 0) == 0
        told = {status["subject"] for status in tenant.bus.statuses}
        assert told == set(tenant.vms)

    assert _made(sky) == ({}, {})


def _servers(cloud: Cloud) -> list[dict[str, Any]]:
    """The installation's servers, as Nova lists them."""
    path = f"/servers/detail?all_tenants=true&tags={cloud.marks.installation}"
    servers: list[dict[str, Any]] = cloud.admin.compute.get(path, microversion="2.79").json()[
        "servers"
    ]
    return servers


def _made(cloud: Cloud) -> tuple[Counter[str], Counter[str]]:
    """How many servers and ports there are of each VM."""
    holdings, owner = cloud.holds(), cloud.marks.resource_of
    servers = Counter(owner(server["tags"], "") or "nobody" for server in holdings.servers)
    ports = Counter(owner(p.tags or (), p.description or "") or "nobody" for p in holdings.ports)
    return servers, ports
