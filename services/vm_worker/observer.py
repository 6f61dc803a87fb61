"""What the cloud shows of our VMs becomes `VmObserved`.

Inspections are one way to see; another (a cloud's own notifications) only needs to come with a
`Server`, a `Port` and a `FloatingIp` and call `observation_of`, which is the one that judges.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from services.vm_worker.backend import Backend, Project
from services.vm_worker.cloud_objects import FloatingIp, Port, Server
from services.vm_worker.provisioner.kit import Kit
from services.vm_worker.provisioner.servers import DELETING, remove_extras
from shared.contract.messages import InspectVms, VmInspection, VmInspectionFailed, VmObserved
from shared.contract.problems import Problem, Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation
from shared.worker.duplicates import oldest_first

#: How long an inspection may go on once it has started, in seconds; ``not_after`` is too short
#: for that: it only says until when it is of use to start.
LIFE = 45.0


def observation_of(
    observed_at: datetime,
    server: Server | None,
    port: Port | None = None,
    floating_ip: FloatingIp | None = None,
    *,
    server_id: str | None = None,
) -> VmObserved:
    """Return what was seen of one VM; ``server`` of None means that Nova knows none. Pure."""
    if server is None:
        return VmObserved(observed_at=observed_at, server_id=server_id, gone=True)
    return VmObserved(
        observed_at=observed_at,
        server_id=server.id,
        server_status=server.status,
        task_state=server.task_state,
        fault=_fault(server),
        port_status=port.status if port else None,
        addresses=port.fixed_ips if port else server.addresses,
        floating_ip_port_id=floating_ip.port_id if floating_ip else None,
        floating_ip_address=floating_ip.address if floating_ip else None,
        launched_at=server.launched_at,
    )


def _fault(server: Server) -> Problem | None:
    if server.status != "ERROR":
        return None
    detail = server.fault or "Nova gives no reason."
    no_host = "no valid host" in detail.lower()
    return Problem(
        title="No valid host" if no_host else "Build failed",
        detail=detail,
        reason=Reason.NO_VALID_HOST if no_host else Reason.BUILD_FAILED,
        retryable=True,
    )


async def inspect_vms(
    backend: Backend, kit: Kit, command: Command[InspectVms]
) -> list[Observation]:
    """Look at all VMs of the command, tenant by tenant, side by side."""
    groups: defaultdict[str, list[VmInspection]] = defaultdict(list)
    for vm in command.message.vms:
        groups[vm.tenant].append(vm)
    seen = await asyncio.gather(
        *(_inspect_tenant(backend, kit, command, tenant, vms) for tenant, vms in groups.items())
    )
    return [observation for group in seen for observation in group]


async def _inspect_tenant(
    backend: Backend,
    kit: Kit,
    command: Command[InspectVms],
    tenant: str,
    vms: Sequence[VmInspection],
) -> list[Observation]:
    cloud = command.message.cloud
    try:
        project = backend.project(cloud, tenant, Deadline.after(LIFE))
        return await _Inspection(project, kit, vms).observations()
    except ColobusError as error:
        resource_ids = tuple(vm.resource_id for vm in vms)
        failed = VmInspectionFailed(cloud=cloud, resource_ids=resource_ids, problem=error.problem())
        return [Observation(command.resource_id, tenant, failed)]


class _Inspection:
    """One look at some VMs of one project: at most one list of each kind of object."""

    def __init__(self, project: Project, kit: Kit, vms: Sequence[VmInspection]) -> None:
        self._project = project
        self._kit = kit
        self._vms = vms

    async def observations(self) -> list[Observation]:
        """Return one observation per VM."""
        # Before the question, not after the answer: what changes in between is not seen.
        observed_at = datetime.now(UTC)
        servers = await self._servers()
        running = [vm for vm in self._vms if _runs(servers[vm.resource_id])]
        ports, floating_ips = await asyncio.gather(
            self._ports(vm.port_id for vm in running),
            self._floating_ips(vm.floating_ip_id for vm in running),
        )
        return [
            Observation(
                vm.resource_id,
                vm.tenant,
                observation_of(
                    observed_at,
                    servers[vm.resource_id],
                    ports.get(vm.port_id or ""),
                    floating_ips.get(vm.floating_ip_id or ""),
                    server_id=vm.server_id,
                ),
            )
            for vm in self._vms
        ]

    async def _servers(self) -> dict[str, Server | None]:
        marks = self._kit.marks
        tags = [marks.installation]
        if len(self._vms) == 1:
            tags.append(marks.resource(self._vms[0].resource_id))
        listed: defaultdict[str | None, list[Server]] = defaultdict(list)
        for server in await self._project.compute.servers(*tags):
            listed[marks.resource_of(server.tags)].append(server)
        found = await asyncio.gather(*(self._pick(vm, listed[vm.resource_id]) for vm in self._vms))
        return {vm.resource_id: one for vm, one in zip(self._vms, found, strict=True)}

    async def _pick(self, vm: VmInspection, listed: Sequence[Server]) -> Server | None:
        await remove_extras(self._project, self._kit, vm.resource_id, vm.server_id, listed)
        for server in listed:
            if server.id == vm.server_id:
                return server
        if listed:  # another one carries this VM's tag: the survivor of two
            return oldest_first(listed, lambda one: one.status == "ERROR")[0]
        if vm.server_id is None:
            return None
        return await self._project.compute.server(vm.server_id)  # a list may lag behind

    async def _ports(self, ids: Iterable[str | None]) -> dict[str, Port]:
        asked = _ids(ids)
        found = await self._project.network.ports(ids=asked) if asked else []
        return {port.id: port for port in found}

    async def _floating_ips(self, ids: Iterable[str | None]) -> dict[str, FloatingIp]:
        asked = _ids(ids)
        found = await self._project.network.floating_ips(ids=asked) if asked else []
        return {one.id: one for one in found}


def _runs(server: Server | None) -> bool:
    """Only of a running server it matters whether its port is up."""
    return server is not None and server.status == "ACTIVE" and server.task_state != DELETING


def _ids(ids: Iterable[str | None]) -> list[str]:
    return sorted({one for one in ids if one is not None})
