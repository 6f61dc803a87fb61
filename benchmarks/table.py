"""All benchmarks, by name."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import accept, chain
from benchmarks.figures import Figure
from benchmarks.world import World

BENCHMARKS: dict[str, Callable[[World], list[Figure]]] = {
    "accept": accept.run,
    "chain": chain.run,
}
