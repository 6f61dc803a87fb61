"""What a waiting resource needs of the others that it names: a volume, a snapshot, a machine, a
cluster. Pure.

They must be the tenant's, active, and at one place; then it goes there. Who names what has ended,
or is about to, is told so at once; who names what is being made waits for it. What isn't known may
yet come: requests that were accepted one after the other may be recorded in another order, so a
young one waits for a while. So it does for what is another tenant's, or time would tell the two
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contract.resources import Phase

#: How long after its creation a resource waits for what it names and nobody knows: longer than a
#: request may lie with a replica that died.
PATIENCE = timedelta(seconds=60)
_COMING = frozenset({Phase.REQUESTED, Phase.WAITING, Phase.PROVISIONING})


@dataclass(frozen=True)
class Needs:
    """How it stands with what a resource names.

    ``missing`` and ``unready`` are the words for what can't come any more, and for what is still to
    come; ``apart`` for what can never be put together; ``place``: the only one that will do.
    """

    missing: str | None = None
    apart: str | None = None
    unready: str | None = None
    place: str | None = None


NOTHING_NEEDED = Needs()


@dataclass(frozen=True)
class Named:
    """What the ledger knows of a resource that another one names.

    ``place`` is the store that it is on, or has its disks on; of a cluster its cloud.
    """

    tenant: str
    phase: Phase
    place: str | None


def is_young(created_at: datetime, now: datetime) -> bool:
    """Tell whether what it names may still be on its way."""
    return now < created_at + PATIENCE


def needs_of(
    tenant: str,
    references: Mapping[str, str],
    named: Mapping[str, Named],
    *,
    young: bool = False,
) -> Needs:
    """Return how it stands with ``references`` ({field: id}), of which ``named`` are known."""
    for field, resource_id in references.items():
        other = named.get(resource_id)
        if other is None or other.tenant != tenant:
            words = f"{field}: there is no {resource_id}."
            return Needs(unready=words) if young else Needs(missing=words)
        if other.phase in _COMING:
            return Needs(unready=f"{field}: {resource_id} is {other.phase.value}.")
        if other.phase is not Phase.ACTIVE:
            return Needs(missing=f"{field}: {resource_id} is {other.phase.value}.")
    known = {field: named[one].place for field, one in references.items()}
    places = {field: place for field, place in known.items() if place is not None}
    if len(set(places.values())) > 1:
        each = (f"{field}: {references[field]} is on {place}." for field, place in places.items())
        return Needs(apart=" ".join(["They must be on one store.", *each]))
    return Needs(place=min(places.values(), default=None))
