"""Which nodes a cluster of so many has, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Nodes are processes of about 60 MB each.
MOST_NODES = 20


class NoRoom(ValueError):
    """More nodes than this machine takes."""


def chosen(names: Sequence[str], count: int, unwanted: Iterable[str] = ()) -> list[str]:
    """Return the names of as many nodes: of those there are, the oldest; then new ones.

    Args:
        names: Those there are, the oldest first.
        count: How many there shall be.
        unwanted: Those that go before others.
    """
    if count > MOST_NODES:
        raise NoRoom(f"The developer cloud has room for {MOST_NODES} nodes a cluster, not {count}.")
    going = set(unwanted)
    preferred = sorted(names, key=lambda name: name in going)  # stable: else in their order
    kept = sorted(preferred[:count], key=names.index)
    new = (name for number in range(count + len(names)) if (name := f"node-{number}") not in names)
    return [*kept, *(next(new) for _ in range(count - len(kept)))]
