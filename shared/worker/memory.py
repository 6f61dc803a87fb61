"""What this process made itself, in one go: it needs no second look before it is removed.

Only a shortcut. What isn't remembered (another replica made it, or we were restarted) is looked up
by its marks, so that nothing but our own is ever touched and no duplicate is overlooked.
"""

from __future__ import annotations

from collections import OrderedDict


class Memory:
    """A bounded set of (resource, object) pairs, the oldest forgotten first."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._pairs: OrderedDict[tuple[str, str], None] = OrderedDict()

    def remember(self, resource_id: str, object_id: str) -> None:
        """Note that this process made the object for the resource, and nothing can have come twice."""
        self._pairs[resource_id, object_id] = None
        if len(self._pairs) > self._size:
            self._pairs.popitem(last=False)

    def has(self, resource_id: str, object_id: str | None) -> bool:
        """Tell whether `remember` was called for exactly this pair."""
        return (resource_id, object_id) in self._pairs

    def forget(self, resource_id: str, object_id: str) -> None:
        """The object is gone, or is going."""
        self._pairs.pop((resource_id, object_id), None)
