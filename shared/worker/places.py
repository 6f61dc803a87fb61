"""Where a command works, and under which bound."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contract.messages import (
    InspectApps,
    InspectClusters,
    InspectMachines,
    InspectStacks,
    InspectStorage,
    InspectVms,
    Message,
    TakeCensus,
)

#: How commands name their place, according to its sort.
_FIELDS = ("cloud", "store", "metal", "place")
#: Commands that only look: they have bounds of their own, so that neither waits for the other.
_LOOKING: Mapping[type[Message], str] = {
    InspectVms: "inspect",
    InspectMachines: "inspect",
    InspectStorage: "inspect",
    InspectStacks: "inspect",
    InspectClusters: "inspect",
    InspectApps: "inspect-apps",
    TakeCensus: "census",
}


def place_of(message: Message) -> str:
    """Return the cloud, store or metal that a command is about; empty where it names none."""
    named = (getattr(message, field, None) for field in _FIELDS)
    return next((str(one) for one in named if one), "")


def backend_of(message: Message) -> str:
    """Return which bound a command falls under: looking neither waits for making nor hinders it."""
    place, looking = place_of(message), _LOOKING.get(type(message))
    return place if looking is None else f"{place}/{looking}"
