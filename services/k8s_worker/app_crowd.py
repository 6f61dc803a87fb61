"""How many orders about apps are under way at one cluster: one that hangs must not take all places.

Those that a cloud has are shared by many clusters (`services.k8s_worker.context`). Who finds no
room here gives its place back at once, and is ordered again after a pause that takes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.worker import outcome

#: How many are under way at one cluster; their ends are counted by themselves.
AT_ONCE = 3


class Crowd:
    """Whose orders are under way."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def room(self, what: str, cluster: str) -> Iterator[None]:
        """Take room at a cluster; raises `TemporaryError` when there is none."""
        key = f"{what}/{cluster}"
        if self._under_way[key] >= AT_ONCE:
            raise outcome.busy()
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            self._under_way += Counter()  # what is not under way takes no memory
