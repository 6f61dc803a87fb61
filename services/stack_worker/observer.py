"""What Heat and Nova show of our stacks becomes `StackObserved`: `observation_of` judges.

One list per tenant shows how all of them stand. What a stack is made of is asked while it changes,
which is what is shown as progress, and of a complete one, whose servers are looked for in Nova.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.stack_worker.backend import Backend, Part, Project, Stack, servers_of
from shared.contract.messages import (
    InspectStacks,
    StackInspection,
    StackInspectionFailed,
    StackObserved,
    StackPart,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

#: How long an inspection may go on once it has started, in seconds.
LIFE = 45.0
#: How many parts are told of, and how much of a reason.
MOST_PARTS = 300
_LONGEST = 2000
#: Larger outputs are named, but not told: each status message carries them all.
MOST_BYTES = 16 * 1024


def observation_of(
    observed_at: datetime,
    stack: Stack | None,
    parts: Sequence[Part] = (),
    servers: Mapping[str, str] | None = None,
    outputs: Mapping[str, Any] | None = None,
    *,
    stack_id: str | None = None,
) -> StackObserved:
    """Return what was seen of one stack; None means that Heat knows none. Pure.

    ``servers`` is {id: status} of what Nova knows of the stack's own.
    """
    if stack is None:
        return StackObserved(observed_at=observed_at, stack_id=stack_id, gone=True)
    told, left_out = _within_bounds(outputs)
    return StackObserved(
        observed_at=observed_at,
        stack_id=stack.id,
        stack_status=stack.status,
        status_reason=stack.reason[:_LONGEST] or None,
        parts=tuple(_part(one) for one in parts[:MOST_PARTS]),
        unproven=_unproven(parts, servers or {}) if _is_complete(stack) else (),
        outputs=told,
        left_out=left_out,
    )


def _part(one: Part) -> StackPart:
    failed = one.status.endswith("_FAILED")
    return StackPart(
        name=one.name,
        type=one.type,
        status=one.status,
        reason=one.reason[:_LONGEST] if failed else None,
    )


def _is_complete(stack: Stack) -> bool:
    return stack.status.endswith("_COMPLETE")


def _unproven(parts: Sequence[Part], servers: Mapping[str, str]) -> tuple[str, ...]:
    shown = {one.name: servers.get(one.physical_id, "not found") for one in servers_of(parts)}
    return tuple(f"{name}: {status}" for name, status in shown.items() if status != "ACTIVE")


def _within_bounds(
    outputs: Mapping[str, Any] | None,
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    if outputs is None:
        return None, ()
    told: dict[str, Any] = {}
    left_out, room = [], MOST_BYTES
    for name, value in outputs.items():
        size = len(msgspec.json.encode(value))
        if size > room:
            left_out.append(name)
        else:
            told[name], room = value, room - size
    return told, tuple(left_out)


async def inspect_stacks(
    backend: Backend, marks: Marks, command: Command[InspectStacks]
) -> list[Observation]:
    """Look at all stacks of the command, tenant by tenant, side by side."""
    groups: defaultdict[str, list[StackInspection]] = defaultdict(list)
    for one in command.message.stacks:
        groups[one.tenant].append(one)
    seen = await asyncio.gather(
        *(_inspect_tenant(backend, marks, command, *group) for group in groups.items())
    )
    return [observation for group in seen for observation in group]


async def _inspect_tenant(
    backend: Backend,
    marks: Marks,
    command: Command[InspectStacks],
    tenant: str,
    asked: Sequence[StackInspection],
) -> list[Observation]:
    cloud = command.message.cloud
    try:
        project = backend.project(cloud, tenant, Deadline.after(LIFE))
        # Before the question, not after the answer: what changes in between is not seen.
        observed_at = datetime.now(UTC)
        listed = {
            owner: stack
            for stack in await project.stacks(marks.installation)
            if (owner := marks.resource_of(stack.tags)) is not None
            and marks.are_only(owner, stack.tags)
        }
        seen = await asyncio.gather(
            *(_look(project, observed_at, one, listed.get(one.resource_id)) for one in asked)
        )
    except ColobusError as error:
        failed = StackInspectionFailed(
            cloud=cloud,
            resource_ids=tuple(one.resource_id for one in asked),
            problem=error.problem(),
        )
        return [Observation(command.resource_id, tenant, failed)]
    return [
        Observation(one.resource_id, tenant, shown) for one, shown in zip(asked, seen, strict=True)
    ]


async def _look(
    project: Project, observed_at: datetime, asked: StackInspection, stack: Stack | None
) -> StackObserved:
    if stack is None:
        # A tenant may have taken the tags off it: by its name, which can't be changed, it is there.
        stack = await project.stack(asked.resource_id)
    if stack is None:
        return observation_of(observed_at, None, stack_id=asked.stack_id)
    parts = await project.parts(stack)
    if not _is_complete(stack):
        return observation_of(observed_at, stack, parts)
    servers = await project.server_statuses({one.physical_id for one in servers_of(parts)})
    outputs = await project.outputs(stack)
    return observation_of(observed_at, stack, parts, servers, outputs)
