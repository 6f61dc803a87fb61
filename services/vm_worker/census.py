"""What a cloud holds of this installation, tenant by tenant.

One list of each kind of object per tenant, one tenant after the other: a census is in no hurry, and
must not take the place of commands. Where it shows a second default network or router of a tenant,
that is put right at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from services.vm_worker.backend import Backend, Project
from services.vm_worker.provisioner.kit import Kit
from shared.contract.messages import Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.runtime.tenants import Tenants
from shared.worker.census import census_taken
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0
#: What a tenant has once, and a race may have made twice.
_ONCE = frozenset({"network", "router"})
_log = structlog.get_logger(__name__)


async def answer_census(
    backend: Backend, kit: Kit, tenants: Tenants, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    place = command.message.place
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    deadline = Deadline.after(LIFE)
    holdings = await take_census(backend, kit.marks, tenants, place, deadline)
    for tenant in doubled(holdings):
        await _settle(backend.project(place, tenant, deadline), kit)
    return census_taken(command, taken_at, holdings)


def doubled(holdings: Iterable[Holding]) -> list[str]:
    """Return the tenants that have more than one default network or router. Pure."""
    counted = Counter((one.tenant, one.what) for one in holdings if one.what in _ONCE)
    return sorted({tenant for (tenant, _), count in counted.items() if count > 1})


async def _settle(project: Project, kit: Kit) -> None:
    try:
        await kit.default_networks.settle(project)
    except ColobusError as error:  # the census is none the worse for it, and the next one follows
        _log.warning("two default networks or routers", tenant=project.tenant, error=error.detail)


async def take_census(
    backend: Backend, marks: Marks, tenants: Tenants, place: str, deadline: Deadline
) -> list[Holding]:
    """Return every server, port, floating IP, network and router of ours on one cloud.

    Raises `TemporaryError` when one of them can't be asked: half a census would look like a loss.
    """
    projects = [
        backend.project(place, tenant.name, deadline)
        for tenant in tenants
        if place in tenant.projects
    ]
    return [holding for project in projects for holding in await _of_project(project, marks)]


async def _of_project(project: Project, marks: Marks) -> list[Holding]:
    servers, ports, floating_ips, networks, routers = await asyncio.gather(
        project.compute.servers(marks.installation),
        project.network.ports(),
        project.network.floating_ips(),
        project.network.networks(marks.description()),
        project.network.routers(marks.description()),
    )

    def holding(
        what: str,
        id: str,
        tags: Iterable[str],
        description: str = "",
        name: str = "",
        status: str = "",
    ) -> Holding:
        return Holding(
            what=what,
            id=id,
            place=project.cloud,
            tenant=project.tenant,
            resource_id=marks.resource_of(tags, description),
            name=name or None,
            status=status or None,
        )

    return [
        *(holding("server", s.id, s.tags, name=s.name, status=s.status) for s in servers),
        *(
            holding("port", p.id, p.tags, p.description, p.name, p.status)
            for p in ports
            if marks.ours(p.tags, p.description)
        ),
        *(
            holding("floating_ip", f.id, f.tags, f.description, f.address, f.status)
            for f in floating_ips
            if marks.ours(f.tags, f.description)
        ),
        *(holding("network", n.id, (), name=n.name) for n in networks),
        *(holding("router", r.id, ()) for r in routers),
    ]
