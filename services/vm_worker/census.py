"""What the clouds hold of this installation, tenant by tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from services.vm_worker.backend import Backend, Project
from shared.runtime.deadline import Deadline
from shared.runtime.tenants import Tenants
from shared.worker.census import Holding
from shared.worker.marks import Marks


async def take_census(
    backend: Backend, marks: Marks, tenants: Tenants, deadline: Deadline
) -> list[Holding]:
    """Return every server, port, floating IP, network and router of ours on all clouds.

    Raises `TemporaryError` when one of them can't be asked: half a census would look like a loss.
    """
    projects = [
        backend.project(cloud, tenant.name, deadline)
        for tenant in tenants
        for cloud in tenant.projects
    ]
    held = await asyncio.gather(*(_of_project(project, marks) for project in projects))
    return [holding for group in held for holding in group]


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
        resource_id = marks.resource_of(tags, description)
        return Holding(what, id, project.cloud, project.tenant, resource_id, name, status)

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
