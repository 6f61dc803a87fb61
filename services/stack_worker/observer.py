"""What Heat and Nova show of our stacks becomes `StackObserved`: `observation_of` judges.

One list per tenant shows how all of them stand. Of each is then asked what it is made of (`parts`),
and where that changes, when; a complete one's servers are looked for in Nova.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from services.stack_worker.backend import Backend, Part, PartEvent, Project, Stack, servers_of
from services.stack_worker.ownership import is_ours
from services.stack_worker.parts import paths_of, standing
from services.stack_worker.parts import told as parts_told
from services.stack_worker.provisioner import Kit, mask_of
from shared.contract.messages import (
    InspectStacks,
    StackInspection,
    StackInspectionFailed,
    StackObserved,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError
from shared.worker.command import Command, Observation
from shared.worker.marks import Marks

_log = structlog.stdlib.get_logger(__name__)
#: How long an inspection may go on once it has started, in seconds.
LIFE = 45.0
#: How many stacks are looked at side by side: commands share the threads with them.
AT_ONCE = 4
#: How much of a reason is told.
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
    events: Sequence[PartEvent] = (),
    masked: Callable[[str], str] = str,
) -> StackObserved:
    """Return what was seen of one stack; None means that Heat knows none. Pure.

    ``servers`` is {id: status} of what Nova knows of the stack's own; ``masked`` tells Heat's
    words without secrets.
    """
    if stack is None:
        return StackObserved(observed_at=observed_at, stack_id=stack_id, gone=True)
    shown, left_out = _within_bounds(outputs)
    told, more = parts_told(parts, events, masked)
    return StackObserved(
        observed_at=observed_at,
        stack_id=stack.id,
        stack_status=stack.status,
        status_reason=masked(stack.reason)[:_LONGEST] or None,
        parts=told,
        more_parts=more,
        unproven=_unproven(parts, servers or {}) if _is_complete(stack) else (),
        outputs=shown,
        left_out=left_out,
    )


def _is_complete(stack: Stack) -> bool:
    return stack.status.endswith("_COMPLETE")


def _unproven(parts: Sequence[Part], servers: Mapping[str, str]) -> tuple[str, ...]:
    paths = dict(zip(parts, paths_of(parts), strict=True))
    shown = [(paths[one], servers.get(one.physical_id, "not found")) for one in servers_of(parts)]
    return tuple(f"{name}: {status}" for name, status in shown if status != "ACTIVE")


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
    backend: Backend, kit: Kit, command: Command[InspectStacks]
) -> list[Observation]:
    """Look at all stacks of the command, tenant by tenant, a few at once."""
    groups: defaultdict[str, list[StackInspection]] = defaultdict(list)
    for one in command.message.stacks:
        groups[one.tenant].append(one)
    at_once = asyncio.Semaphore(AT_ONCE)
    seen = await asyncio.gather(
        *(_inspect_tenant(backend, kit, command, at_once, *group) for group in groups.items())
    )
    return [observation for group in seen for observation in group]


async def _inspect_tenant(
    backend: Backend,
    kit: Kit,
    command: Command[InspectStacks],
    at_once: asyncio.Semaphore,
    tenant: str,
    asked: Sequence[StackInspection],
) -> list[Observation]:
    try:
        project = backend.project(command.message.cloud, tenant, Deadline.after(LIFE))
        # Before the question, not after the answer: what changes in between is not seen.
        observed_at = datetime.now(UTC)
        async with at_once:
            found = await project.stacks(kit.marks.installation)
    except ColobusError as error:
        return [_failed(command, tenant, asked, error)]
    listed = _by_owner(kit.marks, found, asked)
    seen = await asyncio.gather(
        *(_looked(project, kit, observed_at, at_once, one, listed) for one in asked)
    )
    pairs = list(zip(asked, seen, strict=True))
    told = [
        Observation(one.resource_id, tenant, shown)
        for one, shown in pairs
        if isinstance(shown, StackObserved)
    ]
    errors = [(one, shown) for one, shown in pairs if isinstance(shown, ColobusError)]
    if errors:
        told.append(_failed(command, tenant, [one for one, _ in errors], errors[0][1]))
    return told


def _by_owner(
    marks: Marks, found: Sequence[Stack], asked: Sequence[StackInspection]
) -> dict[str, Stack]:
    """Return the stack of each resource; of twins the one that the ledger knows, or the first."""
    known = {one.resource_id: one.stack_id for one in asked}
    first = sorted(found, key=lambda one: (one.id != known.get(one.name), one.created_at, one.id))
    ours = [one for one in first if is_ours(marks, one, one.name)]
    return {one.name: one for one in reversed(ours)}


def _failed(
    command: Command[InspectStacks],
    tenant: str,
    asked: Sequence[StackInspection],
    error: ColobusError,
) -> Observation:
    failed = StackInspectionFailed(
        cloud=command.message.cloud,
        resource_ids=tuple(one.resource_id for one in asked),
        problem=error.problem(),
    )
    return Observation(command.resource_id, tenant, failed)


async def _looked(
    project: Project,
    kit: Kit,
    observed_at: datetime,
    at_once: asyncio.Semaphore,
    asked: StackInspection,
    listed: Mapping[str, Stack],
) -> StackObserved | ColobusError:
    """Look at one stack; an error is this one's alone."""
    try:
        async with at_once:
            return await _look(project, kit, observed_at, asked, listed.get(asked.resource_id))
    except ColobusError as error:
        return error


async def _look(
    project: Project, kit: Kit, observed_at: datetime, asked: StackInspection, stack: Stack | None
) -> StackObserved:
    if stack is None:
        # A tenant may have taken the tags off it: by its name, which can't be changed, it is there.
        stack = await project.stack(asked.resource_id)
    if stack is None:
        return observation_of(observed_at, None, stack_id=asked.stack_id)
    parts = standing(await project.parts(stack))
    # After the parts, so that none of their states is without its event.
    events = await _events(project, stack) if asked.with_times else []
    servers, outputs = None, None
    if _is_complete(stack):
        servers = await project.server_statuses({one.physical_id for one in servers_of(parts)})
        outputs = await project.outputs(stack)
    masked = mask_of(kit.sealing_key, asked.sealed_hidden_parameters)
    # In a thread: to look for secrets in many words takes its time.
    return await asyncio.to_thread(
        partial(observation_of, events=events, masked=masked),
        *(observed_at, stack, parts, servers, outputs),
    )


async def _events(project: Project, stack: Stack) -> list[PartEvent]:
    """Return its events; a cloud whose policy shows none has stacks without times, not none."""
    try:
        return await project.events(stack)
    except PermanentError as error:
        _log.info("events_not_shown", stack_id=stack.id, detail=str(error))
        return []
