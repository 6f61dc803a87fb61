"""What of each kind of resource people see in a list: one table, `VIEWS`."""

from __future__ import annotations

from collections.abc import Callable

from colobus.cli.output import age, words
from colobus.models import Resource

Column = tuple[str, Callable[[Resource], object]]
_GIB = 2**30


def columns(kind: str) -> tuple[Column, ...]:
    """Return the columns of a list of this kind: its own among those of all."""
    return (*_FIRST, *VIEWS.get(kind, ()), *_LAST)


def size(volume: Resource) -> str | None:
    """Return the size of a volume or snapshot: as it was made, else as it was asked for."""
    made = volume.status.outputs.get("size_bytes")
    gib = made / _GIB if isinstance(made, int) else volume.spec.get("size_gib")
    return None if gib is None else f"{gib:.4g} GiB"


def initiator(attachment: Resource) -> object:
    """Return who may log in: the machine, or else the initiator that was named."""
    return attachment.spec.get("machine") or attachment.spec.get("initiator_iqn")


def _output(name: str) -> Column:
    return words(name), lambda resource: resource.status.outputs.get(name)


def _spec(name: str) -> Column:
    return words(name), lambda resource: resource.spec.get(name)


_FIRST: tuple[Column, ...] = (
    ("id", lambda resource: resource.id),
    ("name", lambda resource: resource.name),
    ("phase", lambda resource: resource.status.phase),
    ("reason", lambda resource: resource.status.reason),
)
_LAST: tuple[Column, ...] = (("labels", lambda resource: resource.labels), ("age", age))

#: Kind of resource → the columns that no other kind has.
VIEWS: dict[str, tuple[Column, ...]] = {
    "vm": (_output("floating_ip"), _output("addresses")),
    "machine": (_output("node"), _output("floating_ip"), _output("addresses")),
    "volume": (("size", size), _spec("image"), _spec("snapshot")),
    "snapshot": (("size", size), _spec("volume")),
    "cluster": (_spec("version"), _spec("node_count"), _output("degraded")),
    "app": (_spec("image"), _output("addresses"), _output("degraded")),
    "stack": (_spec("template_name"), _output("stack_id")),
    "attachment": (_spec("volume"), ("initiator", initiator), _output("target_iqn")),
}
