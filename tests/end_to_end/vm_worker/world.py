"""Two tenants of the tests' own on the real cloud, and the worker's rooms without its bus.

Commands go straight to the handlers: what is tested is what happens in Nova and Neutron. The way
over the bus is in ``tests/integration/worker``, the whole way in ``tests/end_to_end``.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import openstack
import yaml

from services.vm_worker.census import take_census
from services.vm_worker.context import Context
from services.vm_worker.handlers import HANDLERS
from services.vm_worker.metrics import API
from services.vm_worker.openstack_calls.clouds import OpenStackBackend
from services.vm_worker.settings import VmWorkerSettings
from services.vm_worker.wiring import make_backend, make_context
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    AssociateFloatingIp,
    DeprovisionVm,
    FloatingIpAssociated,
    Holding,
    InspectVms,
    Message,
    PrepareVmPort,
    ProvisionVm,
    ReleaseFloatingIp,
    ReleaseVmPort,
    VmBuildStarted,
    VmInspection,
    VmObserved,
    VmPortPrepared,
)
from shared.runtime.deadline import Deadline
from shared.runtime.secrets import SealingKey
from shared.runtime.settings import Secret
from shared.runtime.tenants import Tenants, load_tenants
from shared.worker.command import Answer, Command, Observation
from tests.support.conditions import eventually, eventually_sync

CLOUD = "devcloud"
M = TypeVar("M", bound=Message)


def only(answers: list[Answer], kind: type[M]) -> M:
    """The one answer, which is of this kind."""
    (answer,) = answers
    message = answer.message if isinstance(answer, Observation) else answer
    assert isinstance(message, kind), message
    return message


@dataclass
class World:
    """``admin`` is the cloud's administrator; ``projects`` are {tenant: project id}."""

    admin: Any
    projects: dict[str, str]
    tenants: Tenants
    settings: VmWorkerSettings
    key: SealingKey
    clouds_file: Path

    @asynccontextmanager
    async def replica(self, **changes: Any) -> AsyncIterator[Replica]:
        """The rooms of one worker process, fresh; ``changes`` are to its settings."""
        fields = {name: getattr(self.settings, name) for name in self.settings.__struct_fields__}
        settings = VmWorkerSettings(**{**fields, **changes})
        backend = make_backend(settings, self.tenants)
        try:
            yield Replica(self, make_context(settings, self.tenants, backend), backend)
        finally:
            await backend.close()

    def in_project(self, tenant: str) -> Any:
        """A connection of the administrator, inside the tenant's project."""
        config = openstack.config.OpenStackConfig(config_files=[str(self.clouds_file)])
        region = config.get_one("devcloud-admin", auth={"project_id": self.projects[tenant]})
        return openstack.connection.Connection(config=region)

    def server_of_a_user(self, tenant: str, tags: Sequence[str], *, flavor: str = "small") -> str:
        """Start a server as a user of the tenant would, without a network; return its id."""
        project = self.in_project(tenant)
        made = project.compute.create_server(
            name="by-hand",
            image_id=project.image.find_image("debian-12").id,
            flavor_id=project.compute.find_flavor(flavor).id,
            networks="none",
            tags=list(tags),
        )
        return str(made.id)

    @contextmanager
    def compute_quota(self, tenant: str, **quota: int) -> Iterator[None]:
        """Nova's quota of the tenant, for a while."""
        project = self.projects[tenant]
        self.admin.compute.update_quota_set(project, **quota)
        try:
            yield
        finally:
            self.admin.compute.update_quota_set(project, **dict.fromkeys(quota, -1))

    @contextmanager
    def network_quota(self, tenant: str, **quota: int) -> Iterator[None]:
        """Neutron's quota of the tenant, for a while."""
        project = self.projects[tenant]
        self.admin.network.update_quota(project, **quota)
        try:
            yield
        finally:
            self.admin.network.update_quota(project, **dict.fromkeys(quota, -1))


@dataclass
class Replica:
    """One worker process, as far as the cloud can tell."""

    world: World
    context: Context
    backend: OpenStackBackend

    async def do(
        self,
        resource_id: str,
        message: Message,
        *,
        repeated: bool = False,
        redelivered: bool = False,
        tenant: str = "bigtop",
        life: float = 120,
    ) -> list[Answer]:
        """Handle one command, as the loop would."""
        envelope = envelope_for(message, source="scheduler", subject=resource_id, tenant=tenant)
        again = repeated or redelivered
        command = Command(message, envelope, again, Deadline.after(life), redelivered)
        return list(await HANDLERS[type(message)](command, self.context))

    def vm(self, tenant: str = "bigtop") -> Vm:
        """A new VM, nothing of it made yet."""
        return Vm(self, tenant)

    async def census(self) -> list[Holding]:
        """All that the cloud holds of the tests' installation."""
        marks = self.context.kit.marks
        deadline = Deadline.after(60)
        return await take_census(self.backend, marks, self.world.tenants, CLOUD, deadline)

    async def held(self, vm: Vm) -> list[str]:
        """What the cloud holds of this VM."""
        return sorted(one.what for one in await self.census() if one.resource_id == vm.id)

    def lose_answers(self, tenant: str = "bigtop", *, seconds: float = 0.02) -> None:
        """From now on wait so short for answers that they are as good as lost."""
        connection = self.backend._connections.of(CLOUD, self.world.projects[tenant])
        connection._connection.session.timeout = (5, seconds)


@dataclass
class Vm:
    """One VM and the ids that the ledger would know of it."""

    replica: Replica
    tenant: str
    id: str = field(default_factory=lambda: new_id("vm"))
    port_id: str | None = None
    server_id: str | None = None
    floating_ip_id: str | None = None

    def by(self, replica: Replica) -> Vm:
        """The same VM in the hands of another process."""
        return Vm(replica, self.tenant, self.id, self.port_id, self.server_id, self.floating_ip_id)

    async def do(self, message: Message, **options: Any) -> list[Answer]:
        """Handle a command about this VM."""
        return await self.replica.do(self.id, message, tenant=self.tenant, **options)

    async def port(self, *, repeated: bool = False, **fields: Any) -> VmPortPrepared:
        """Make its port."""
        message = PrepareVmPort(cloud=CLOUD, **fields)
        made = only(await self.do(message, repeated=repeated), VmPortPrepared)
        self.port_id = made.port_id
        return made

    async def server(
        self, *, repeated: bool = False, redelivered: bool = False, **fields: Any
    ) -> VmBuildStarted:
        """Start building its server."""
        defaults = {"image": "debian-12", "flavor": "small", "port_id": self.port_id}
        message = ProvisionVm(cloud=CLOUD, **{**defaults, **fields})
        told = await self.do(message, repeated=repeated, redelivered=redelivered)
        made = only(told, VmBuildStarted)
        self.server_id = made.server_id
        return made

    async def floating_ip(self, *, repeated: bool = False) -> FloatingIpAssociated:
        """Make its floating IP."""
        assert self.port_id is not None
        message = AssociateFloatingIp(cloud=CLOUD, port_id=self.port_id)
        made = only(await self.do(message, repeated=repeated), FloatingIpAssociated)
        self.floating_ip_id = made.floating_ip_id
        return made

    @property
    def inspection(self) -> VmInspection:
        """What the ledger asks about it."""
        return VmInspection(
            resource_id=self.id,
            tenant=self.tenant,
            server_id=self.server_id,
            port_id=self.port_id,
            floating_ip_id=self.floating_ip_id,
        )

    async def look(self) -> VmObserved:
        """Inspect it; as for the scheduler, one that failed says nothing, and another follows.

        Nova answers 500 (ObjectActionError) to who deletes a server that just goes by itself.
        """

        async def seen() -> VmObserved | None:
            message = InspectVms(cloud=CLOUD, vms=(self.inspection,))
            (answer,) = await self.do(message)
            told = answer.message if isinstance(answer, Observation) else answer
            return told if isinstance(told, VmObserved) else None

        return await eventually(seen, within=60, what=f"{self.id} can be looked at")

    async def until(self, condition: Callable[[VmObserved], bool]) -> VmObserved:
        """Inspect it until it is as expected."""

        async def look() -> VmObserved | None:
            seen = await self.look()
            return seen if condition(seen) else None

        return await eventually(look, within=120, what=f"{self.id} is as expected")

    async def active(self) -> VmObserved:
        """Wait until Nova says ACTIVE with nothing under way."""
        return await self.until(
            lambda seen: (seen.server_status, seen.task_state) == ("ACTIVE", None)
        )

    async def remove(self) -> None:
        """Undo everything, in order, by what is known of it."""
        await self.do(ReleaseFloatingIp(cloud=CLOUD, floating_ip_id=self.floating_ip_id))
        await self.do(DeprovisionVm(cloud=CLOUD, server_id=self.server_id))
        await self.until(lambda seen: seen.gone)
        await self.do(ReleaseVmPort(cloud=CLOUD, port_id=self.port_id))


def api_calls(*services: str) -> int:
    """How many requests this process has sent to these services so far (all: if none is named)."""
    return int(
        sum(
            sample.value
            for metric in API.calls.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
            and (not services or sample.labels["service"] in services)
        )
    )


@contextmanager
def make_world(environment: dict[str, str], folder: Path) -> Iterator[World]:
    """Make the tenants' projects; take them away with all that is in them."""
    clouds_file = Path(environment["OS_CLIENT_CONFIG_FILE"])
    config = openstack.config.OpenStackConfig(config_files=[str(clouds_file)])
    admin = openstack.connection.Connection(config=config.get_one("devcloud-admin"))
    service_user = config.get_one(CLOUD).config["auth"]["username"]
    name = f"vmw{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        projects = {
            tenant: stack.enter_context(_project(admin, f"{name}-{tenant}", service_user))
            for tenant in ("bigtop", "openlab")
        }
        entries = {tenant: {"projects": {CLOUD: id}} for tenant, id in projects.items()}
        (folder / "tenants.yaml").write_text(yaml.safe_dump({"tenants": entries}))
        key = SealingKey.generate()
        key.save(folder / "sealing-key")
        settings = VmWorkerSettings(
            installation_id=name,
            amqp_urls=(Secret("amqp://unused"),),
            http_port=0,
            tenants_file=folder / "tenants.yaml",
            clouds_file=clouds_file,
            sealing_key_file=folder / "sealing-key",
        )
        tenants = load_tenants(folder / "tenants.yaml")
        yield World(admin, projects, tenants, settings, key, clouds_file)


@contextmanager
def _project(admin: Any, name: str, service_user: str) -> Iterator[str]:
    project = admin.identity.create_project(name=name, domain_id="default")
    member = admin.identity.find_role("member", ignore_missing=False)
    for user_name in (service_user, "admin"):
        user = admin.identity.find_user(user_name, ignore_missing=False)
        admin.identity.assign_project_role_to_user(project, user, member)
    admin.compute.update_quota_set(project.id, instances=50, cores=100, ram=-1)
    try:
        yield project.id
    finally:
        _empty(admin, project.id)
        admin.identity.delete_project(project)


def _empty(admin: Any, project_id: str) -> None:
    """Whatever a failed test has left behind."""
    mine = {"project_id": project_id}
    for server in admin.compute.servers(all_projects=True, **mine):
        admin.compute.delete_server(server)
    eventually_sync(
        lambda: not list(admin.compute.servers(all_projects=True, **mine)),
        within=120,
        what="no server is left",
    )
    for ip in admin.network.ips(**mine):
        admin.network.delete_ip(ip)
    for router in admin.network.routers(**mine):
        for port in admin.network.ports(
            device_id=router.id, device_owner="network:router_interface"
        ):
            admin.network.remove_interface_from_router(router, port_id=port.id)
        admin.network.delete_router(router)
    for port in admin.network.ports(**mine):
        admin.network.delete_port(port)
    for network in admin.network.networks(**mine):
        admin.network.delete_network(network)
    for group in admin.network.security_groups(**mine):
        if group.name != "default":
            admin.network.delete_security_group(group)
