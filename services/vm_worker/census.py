"""What a cloud holds of this installation, tenant by tenant.

One list of each kind of object per tenant, one tenant after the other: a census is in no hurry, and
must not take the place of commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from services.vm_worker.backend import Backend, Project
from shared.contract.codec import MAX_BYTES
from shared.contract.messages import CensusTaken, Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.runtime.tenants import Tenants
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

#: How long a census may go on once it has started, in seconds; ``not_after`` is shorter: it only
#: says until when it is of use to start.
LIFE = 120.0
#: How many bytes of holdings one part has at most: a message has its bound, and its envelope.
PART_BYTES = MAX_BYTES // 2

_encoder = msgspec.json.Encoder()


async def answer_census(
    backend: Backend, marks: Marks, tenants: Tenants, command: Command[TakeCensus]
) -> list[Observation]:
    """Return the census in parts, all of them; raises when something could not be asked."""
    place = command.message.place
    # Before the first question: what is listed was there then or later.
    taken_at = datetime.now(UTC)
    holdings = await take_census(backend, marks, tenants, place, Deadline.after(LIFE))
    groups = list(in_parts(holdings))
    return [
        Observation(
            f"{command.resource_id}/{number}",
            command.tenant,
            CensusTaken(
                place=place,
                taken_at=taken_at,
                holdings=tuple(group),
                part=number,
                parts=len(groups),
            ),
        )
        for number, group in enumerate(groups, start=1)
    ]


def in_parts(holdings: Sequence[Holding], at_most: int = PART_BYTES) -> Iterator[list[Holding]]:
    """Cut a census so that each part has at most so many bytes; an empty one is one part. Pure."""
    group: list[Holding] = []
    size = 0
    for holding in holdings:
        bytes_more = len(_encoder.encode(holding)) + 1
        if group and size + bytes_more > at_most:
            yield group
            group, size = [], 0
        group.append(holding)
        size += bytes_more
    yield group


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
