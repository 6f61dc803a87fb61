"""What a store shows of our things becomes `StorageObserved`: one look at Ceph, one at the gateway.

What can't be known because one of them is silent is told as such, and the rest is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from services.iscsi_worker.backend import Export, RbdImage, Store, Stores, Target
from services.iscsi_worker.names import PHONED_HOME
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.identifiers import kind_of
from shared.contract.messages import (
    InspectStorage,
    StorageInspectionFailed,
    StorageObserved,
    StoredThing,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError
from shared.worker.command import Command, Observation

#: How long an inspection may go on once it has started, in seconds; ``not_after`` is too short
#: for that: it only says until when it is of use to start.
LIFE = 45.0

_MACHINE = "machine"
#: The kinds that have a target.
_OFFERED = ("attachment", _MACHINE)

Targets = Mapping[str, Target]


@dataclass(frozen=True)
class Seen:
    """What was seen of a store; ``targets`` is the gateway's error where it did not answer.

    ``disks`` are the names of the images that machines boot from: they don't grow, so that it is
    enough to know that they are there. To open each, each second that a boot is waited for, would
    cost more than all else of it; so only those are opened that may have a note that it is over.
    """

    observed_at: datetime
    images: Mapping[str, RbdImage]
    targets: Targets | ColobusError
    disks: frozenset[str] = frozenset()


def observation_of(thing: StoredThing, kit: Kit, seen: Seen) -> StorageObserved:
    """Return what was seen of one thing. Pure. Raises the error for which it can't be said."""
    kind = kind_of(thing.resource_id)
    name = kit.names.image(thing.tenant, thing.volume)
    image = seen.images.get(name)
    observe = {
        "volume": lambda: _of_volume(seen, image),
        "snapshot": lambda: _of_snapshot(seen, image, thing.resource_id),
        "attachment": lambda: _of_export(seen, image, _export(thing, kit)),
        _MACHINE: lambda: _of_machine(seen, name, image, thing, kit),
    }.get(kind)
    if observe is None:
        detail = f"{thing.resource_id} is nothing that a store has."
        raise PermanentError(detail, reason=Reason.COMMAND_REJECTED)
    return observe()


def _of_volume(seen: Seen, image: RbdImage | None) -> StorageObserved:
    if image is None:
        return StorageObserved(observed_at=seen.observed_at, gone=True)
    return StorageObserved(observed_at=seen.observed_at, size_bytes=image.size)


def _of_snapshot(seen: Seen, image: RbdImage | None, snapshot_id: str) -> StorageObserved:
    living = [one for one in (image.snapshots if image else ()) if not one.trashed]
    found = next((one for one in living if one.name == snapshot_id), None)
    if found is None:
        return StorageObserved(observed_at=seen.observed_at, gone=True)
    return StorageObserved(observed_at=seen.observed_at, size_bytes=found.size)


def _export(thing: StoredThing, kit: Kit) -> Export:
    if kind_of(thing.resource_id) == _MACHINE:
        return kit.disks_export(thing.tenant, thing.resource_id)
    whose = (thing.tenant, thing.resource_id, thing.volume)
    return kit.export(*whose, thing.initiator_iqn, thing.machine)


def _of_export(seen: Seen, image: RbdImage | None, export: Export) -> StorageObserved:
    target = _target(seen, export)
    outdated = image is not None and target is not None and target.is_outdated([image])
    return _offer(seen, export, target, gone=image is None, outdated=outdated)


def _of_machine(
    seen: Seen, disk: str, image: RbdImage | None, thing: StoredThing, kit: Kit
) -> StorageObserved:
    export = _export(thing, kit)
    observed = _offer(seen, export, _target(seen, export), gone=disk not in seen.disks)
    if not thing.phones_home:
        return observed
    return replace(observed, phoned_home=_has_phoned(image, thing.resource_id))


def _has_phoned(image: RbdImage | None, machine: str) -> bool:
    return image is not None and image.notes.get(PHONED_HOME) == machine


def _target(seen: Seen, export: Export) -> Target | None:
    if isinstance(seen.targets, ColobusError):
        raise seen.targets
    return seen.targets.get(export.target_iqn)


def _offer(
    seen: Seen, export: Export, target: Target | None, *, gone: bool, outdated: bool = False
) -> StorageObserved:
    sessions = target.sessions if target else ()
    return StorageObserved(
        observed_at=seen.observed_at,
        gone=gone,
        offered=export.is_offered_by(target),
        initiators=tuple(one.initiator_iqn for one in sessions),
        systems=tuple(one.initiator_iqn for one in sessions if one.of_system),
        outdated=outdated,
    )


async def inspect_storage(
    stores: Stores, kit: Kit, command: Command[InspectStorage]
) -> list[Observation]:
    """Return one observation per thing that could be seen, one event per fault for the others."""
    order = command.message
    try:
        store = stores.store(order.store, Deadline.after(LIFE))
        seen = await _look(store, kit, order.things)
    except ColobusError as error:
        return [_failed(command, order.things, error)]
    observations, faults = [], []
    for thing in order.things:
        try:
            event = observation_of(thing, kit, seen)
        except ColobusError as error:
            faults.append((thing, error))
        else:
            observations.append(Observation(thing.resource_id, thing.tenant, event))
    if faults:
        observations.append(_failed(command, [thing for thing, _ in faults], faults[0][1]))
    return observations


async def _look(store: Store, kit: Kit, things: Sequence[StoredThing]) -> Seen:
    # Before the question, not after the answer: what changes in between is not seen.
    observed_at = datetime.now(UTC)
    booted_from = {
        kit.names.image(one.tenant, one.volume)
        for one in things
        if kind_of(one.resource_id) == _MACHINE
    }
    opened = {
        kit.names.image(one.tenant, one.volume)
        for one in things
        if kind_of(one.resource_id) != _MACHINE or one.phones_home
    }
    images = await store.rbd.images(sorted(opened)) if opened else {}
    disks = await store.rbd.present(sorted(booted_from)) if booted_from else frozenset()
    targets: Targets | ColobusError = {}
    offered = [one for one in things if kind_of(one.resource_id) in _OFFERED]
    if offered:
        asked = [kit.names.target(one.tenant, one.resource_id) for one in offered]
        try:
            targets = await store.gateway.targets(asked)
        except ColobusError as error:
            targets = error
    return Seen(observed_at, images, targets, disks)


def _failed(
    command: Command[InspectStorage], things: Sequence[StoredThing], error: ColobusError
) -> Observation:
    event = StorageInspectionFailed(
        store=command.message.store,
        resource_ids=tuple(thing.resource_id for thing in things),
        problem=error.problem(),
    )
    return Observation(command.resource_id, command.tenant, event)
