"""What this process made itself, in one go: it needs no second look before it is removed.

Only a shortcut. What isn't remembered (another replica made it, or we were restarted) is looked up
by its marks, so that nothing but our own is ever touched and no duplicate is overlooked.
"""

from __future__ import annotations

from collections import OrderedDict


class Memory:
    """The one object of a sort that was made for each resource; the oldest are forgotten first."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._made: OrderedDict[tuple[str, str], str | None] = OrderedDict()

    def remember(self, what: str, resource_id: str, object_id: str) -> None:
        """Note that this process made the object; a second one puts both in doubt."""
        known = self._made.get((what, resource_id), object_id)
        self._set(what, resource_id, object_id if known == object_id else None)

    def is_sure(self, what: str, resource_id: str, object_id: str | None) -> bool:
        """Tell whether this object, and no other, was made for the resource, here."""
        return object_id is not None and self._made.get((what, resource_id)) == object_id

    def doubt(self, what: str, resource_id: str) -> None:
        """There is more than one: look before anything is removed."""
        self._set(what, resource_id, None)

    def forget(self, what: str, resource_id: str) -> None:
        """It is gone, or is going."""
        self._made.pop((what, resource_id), None)

    def _set(self, what: str, resource_id: str, object_id: str | None) -> None:
        self._made[what, resource_id] = object_id
        if len(self._made) > self._size:
            self._made.popitem(last=False)
