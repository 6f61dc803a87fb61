"""Where a resource goes, as a pure function: candidates → a choice and its explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contract.resources import Placement


@dataclass(frozen=True)
class Candidate:
    """A cloud that the tenant may use: what is being built there, and how it has been doing."""

    cloud: str
    building: int
    limit: int
    recent_failures: int = 0

    @property
    def free(self) -> int:
        """How many more may be built there now."""
        return max(0, self.limit - self.building)


@dataclass(frozen=True)
class Choice:
    """The outcome: a placement, or None with what stands in the way."""

    placement: Placement | None
    alternatives: tuple[str, ...]
    #: True when no cloud is left to wait for.
    hopeless: bool = False


def place(candidates: Sequence[Candidate], excluded: Sequence[str] = ()) -> Choice:
    """Choose the cloud with the fewest recent failures, then the most room, then the first."""
    possible = [one for one in candidates if one.cloud not in excluded]
    explanation = tuple(_explain(one, excluded) for one in candidates)
    roomy = [one for one in possible if one.free > 0]
    if not roomy:
        return Choice(None, (), hopeless=not possible)
    order = {one.cloud: index for index, one in enumerate(candidates)}
    best = min(roomy, key=lambda one: (one.recent_failures, -one.free, order[one.cloud]))
    alternatives = tuple(one.cloud for one in possible if one.cloud != best.cloud)
    return Choice(Placement(cloud=best.cloud, explanation=explanation), alternatives)


def _explain(candidate: Candidate, excluded: Sequence[str]) -> str:
    if candidate.cloud in excluded:
        return f"{candidate.cloud}: had no place for this request"
    if candidate.free == 0:
        return f"{candidate.cloud}: {candidate.building} of {candidate.limit} builds under way"
    return (
        f"{candidate.cloud}: room for {candidate.free} of {candidate.limit} builds, "
        f"{candidate.recent_failures} recent failures"
    )
