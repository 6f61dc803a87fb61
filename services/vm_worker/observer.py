"""What the cloud shows of our VMs becomes `VmObserved`: `observation_of` is the one that judges.

Inspections are one way to see, here; the cloud's own notifications another (`listener`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.vm_worker.backend import Backend, Project
from services.vm_worker.cloud_objects import DELETING, FloatingIp, Port, Server
from services.vm_worker.provisioner.kit import Kit
from services.vm_worker.provisioner.servers import living_server
from shared.contract.messages import InspectVms, VmInspection, VmInspectionFailed, VmObserved
from shared.contract.problems import Problem, Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

#: How long an inspection may go on once it has started, in seconds; ``not_after`` is too short
#: for that: it only says until when it is of use to start.
LIFE = 45.0


#: What Nova's words for a build that failed say of its reason. It looks at its quota once more when
#: the servers are written down, since two that come at once may both have seen room: that one's
#: request was accepted. The words are `nova.exception.TooManyInstances`' and `oslo_limit`'s.
_FAULTS = {
    "no valid host": ("No valid host", Reason.NO_VALID_HOST),
    "quota exceeded": ("Quota exceeded", Reason.QUOTA_EXCEEDED),
    "is over a limit": ("Quota exceeded", Reason.QUOTA_EXCEEDED),
}


def observation_of(
    observed_at: datetime,
    server: Server | None,
    port: Port | None = None,
    floating_ip: FloatingIp | None = None,
    *,
    server_id: str | None = None,
    notified: bool = False,
    alone: bool = True,
) -> VmObserved:
    """Return what was seen of one VM; ``server`` of None means that Nova knows none. Pure.

    While it is not ``alone``, its port's state means nothing: the end of the other servers of the
    same VM may yet take the port off it.
    """
    if server is None:
        return VmObserved(
            observed_at=observed_at, server_id=server_id, gone=True, notified=notified
        )
    return VmObserved(
        observed_at=observed_at,
        server_id=server.id,
        server_status=server.status,
        task_state=server.task_state,
        fault=_fault(server),
        port_status=port.status if port and alone else None,
        addresses=port.fixed_ips if port else server.addresses,
        floating_ip_port_id=floating_ip.port_id if floating_ip else None,
        floating_ip_address=floating_ip.address if floating_ip else None,
        launched_at=server.launched_at,
        notified=notified,
        port_lost=not notified and alone and port is not None and not port.device_id,
        beside=not alone,
    )


def _fault(server: Server) -> Problem | None:
    if server.status != "ERROR" or not server.fault:
        return None
    words = server.fault.lower()
    title, reason = next(
        (read for known, read in _FAULTS.items() if known in words),
        ("Build failed", Reason.BUILD_FAILED),
    )
    return Problem(title=title, detail=server.fault, reason=reason, retryable=True)


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
    inspection = _Inspection(command, tenant, vms)
    try:
        project = backend.project(command.message.cloud, tenant, Deadline.after(LIFE))
        return await inspection.run(project, kit)
    except ColobusError as error:
        return [inspection.failed(vms, error)]


class _Inspection:
    """One look at some VMs of one tenant: at most one list of each kind of object."""

    def __init__(
        self, command: Command[InspectVms], tenant: str, vms: Sequence[VmInspection]
    ) -> None:
        self._command = command
        self._tenant = tenant
        self._vms = vms

    def failed(self, vms: Sequence[VmInspection], error: ColobusError) -> Observation:
        """The event that says which VMs could not be looked at, and why."""
        event = VmInspectionFailed(
            cloud=self._command.message.cloud,
            resource_ids=tuple(vm.resource_id for vm in vms),
            problem=error.problem(),
        )
        return Observation(self._command.resource_id, self._tenant, event)

    async def run(self, project: Project, kit: Kit) -> list[Observation]:
        """Return one observation per VM that could be looked at, and one event for the others."""
        # Before the question, not after the answer: what changes in between is not seen.
        observed_at = datetime.now(UTC)
        listed = await self._listed(project, kit.marks)
        looks = [_Look(project, kit, vm, listed[vm.resource_id]) for vm in self._vms]
        await asyncio.gather(*(look.find() for look in looks))
        running = [look.vm for look in looks if look.runs]
        ports, floating_ips = await asyncio.gather(
            _ports(project, [vm.port_id for vm in running]),
            _floating_ips(project, [vm.floating_ip_id for vm in running]),
        )
        seen = [
            Observation(
                look.vm.resource_id,
                self._tenant,
                observation_of(
                    observed_at,
                    look.server,
                    ports.get(look.vm.port_id or ""),
                    floating_ips.get(look.vm.floating_ip_id or ""),
                    server_id=look.vm.server_id,
                    alone=len(look.listed) <= 1,
                ),
            )
            for look in looks
            if look.error is None
        ]
        errors = [(look.vm, look.error) for look in looks if look.error is not None]
        if errors:
            seen.append(self.failed([vm for vm, _ in errors], errors[0][1]))
        return seen

    async def _listed(self, project: Project, marks: Marks) -> defaultdict[str, list[Server]]:
        tags = [marks.installation]
        if len(self._vms) == 1:
            tags.append(marks.resource(self._vms[0].resource_id))
        listed: defaultdict[str, list[Server]] = defaultdict(list)
        for server in await project.compute.servers(*tags):
            owner = marks.resource_of(server.tags)
            # What is marked as another's too is only the VM's if the ledger names it.
            if owner and marks.are_only(owner, server.tags, metadata=server.metadata):
                listed[owner].append(server)
        return listed


@dataclass
class _Look:
    """One VM: the server that the list has of it, or that is there although the list lacks it."""

    project: Project
    kit: Kit
    vm: VmInspection
    listed: Sequence[Server]
    server: Server | None = None
    error: ColobusError | None = None

    @property
    def runs(self) -> bool:
        """Only of a running server it matters whether its port is up."""
        server = self.server
        return server is not None and server.status == "ACTIVE" and server.task_state != DELETING

    async def find(self) -> None:
        """Find the server; an error is this VM's alone."""
        resource_id, server_id = self.vm.resource_id, self.vm.server_id
        try:
            self.server = await living_server(
                self.project, self.kit, resource_id, server_id, self.listed
            )
            if self.server is None and server_id is not None:  # a list may lag behind
                self.server = await self.project.compute.server(server_id)
        except ColobusError as error:
            self.error = error


async def _ports(project: Project, ids: Iterable[str | None]) -> dict[str, Port]:
    asked = _known(ids)
    found = await project.network.ports(ids=asked) if asked else []
    return {port.id: port for port in found}


async def _floating_ips(project: Project, ids: Iterable[str | None]) -> dict[str, FloatingIp]:
    asked = _known(ids)
    found = await project.network.floating_ips(ids=asked) if asked else []
    return {one.id: one for one in found}


def _known(ids: Iterable[str | None]) -> list[str]:
    return sorted({one for one in ids if one is not None})
