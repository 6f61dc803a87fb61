"""How things in Ironic are known as ours: a mark in their ``extra``, made together with them.

A node bears none, unless it resists being given back clean: how often and since when stands in it.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

KEY = "colobus"
#: Where a node's mark is, as a JSON pointer (RFC 6901).
PATH = f"/extra/{KEY}"


class _Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As it stands in Ironic; times are seconds since the epoch."""

    installation: str
    worker: str
    tenant: str
    resource: str
    name: str | None = None
    tries: int = 0
    since: float | None = None


@dataclass(frozen=True)
class Owner:
    """Whose a thing is. ``name`` is what the resource is called, for operators who look at it.

    ``tries`` is how often it was tried in vain to get a node back clean, ``since`` the first time
    of these.
    """

    tenant: str
    resource_id: str
    name: str | None = None
    tries: int = 0
    since: float | None = None

    def tried_again(self, now: float) -> Owner:
        """The owner of a node that resists once more."""
        return replace(self, tries=self.tries + 1, since=now if self.since is None else self.since)


@dataclass(frozen=True)
class Marks:
    """The marks of one worker of one installation."""

    installation_id: str
    worker: str

    def mark(self, owner: Owner) -> dict[str, Any]:
        """Return the mark alone, as a node bears it at `PATH`."""
        mark = _Mark(
            installation=self.installation_id,
            worker=self.worker,
            tenant=owner.tenant,
            resource=owner.resource_id,
            name=owner.name,
            tries=owner.tries,
            since=owner.since,
        )
        plain: dict[str, Any] = msgspec.to_builtins(mark)
        return plain

    def as_extra(self, owner: Owner) -> dict[str, Any]:
        """Return the ``extra`` of something that is made for this owner."""
        return {KEY: self.mark(owner)}

    def owner_of(self, extra: Mapping[str, Any]) -> Owner | None:
        """Return whose a thing is; None where it is none of this installation's."""
        try:
            mark = msgspec.convert(extra.get(KEY), _Mark)
        except msgspec.ValidationError:
            return None
        if mark.installation != self.installation_id:
            return None
        return Owner(mark.tenant, mark.resource, mark.name, mark.tries, mark.since)

    def are(self, resource_id: str, extra: Mapping[str, Any]) -> bool:
        """Tell whether a thing is this resource's."""
        owner = self.owner_of(extra)
        return owner is not None and owner.resource_id == resource_id
