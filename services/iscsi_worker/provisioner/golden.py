"""Golden images as they were a moment ago: to open one costs as much as to make a copy of it.

What is offered under a name stays as it is: it can only be removed, and then the copying fails, and
is tried again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.iscsi_worker.backend import RbdImage, Store

#: How long a look is good for, in seconds: less than it takes to import another image.
SECONDS = 5.0


@dataclass(frozen=True)
class GoldenImages:
    """What was seen lately, by store and image."""

    _seen: dict[tuple[str, str], tuple[float, RbdImage]] = field(default_factory=dict)

    async def image(self, store: Store, name: str) -> RbdImage | None:
        """Return an image as `RbdBackend.image` does. That there is none is not remembered."""
        key, asked_at = (store.name, name), time.monotonic()
        known = self._seen.get(key)
        if known is not None and asked_at - known[0] < SECONDS:
            return known[1]
        found = await store.rbd.image(name)
        self.forget(store, name)
        if found is not None:
            self._seen[key] = (asked_at, found)
        return found

    def forget(self, store: Store, name: str) -> None:
        """It is not as it was."""
        self._seen.pop((store.name, name), None)
