"""Two objects of one resource: one stays, the others go, and it is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from shared.worker.metrics import DUPLICATES_REMOVED


class Dated(Protocol):
    """What has an id and a time of creation (ISO 8601, so that text order is time order)."""

    @property
    def id(self) -> str:
        """The backend's id."""

    @property
    def created_at(self) -> str:
        """When it was made; empty where the backend doesn't say."""


T = TypeVar("T", bound=Dated)


def oldest_first(found: Iterable[T], rank: Callable[[T], Any] | None = None) -> list[T]:
    """Sort so that the one to keep is first: by ``rank``, then by age, then by id.

    Every replica sorts alike, so two that look at the same time keep the same one.
    """
    return sorted(found, key=lambda one: (rank(one) if rank else 0, one.created_at, one.id))


async def keep_first(
    worker: str, what: str, ordered: list[T], remove: Callable[[str], Awaitable[object]]
) -> T | None:
    """Return the first of ``ordered`` and remove the others by id; None when there is none."""
    for extra in ordered[1:]:
        await remove(extra.id)
        DUPLICATES_REMOVED.labels(worker, what).inc()
    return ordered[0] if ordered else None
