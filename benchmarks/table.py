"""All benchmarks, by name."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import (
    accept,
    chain,
    clone,
    cluster_time,
    delivery,
    fifty_machines,
    ledger_size,
    machine_time,
    memory,
    vm_time,
)
from benchmarks.figures import Figure
from benchmarks.world import World

BENCHMARKS: dict[str, Callable[[World], list[Figure]]] = {
    "accept": accept.run,
    "chain": chain.run,
    "clone": clone.run,
    "cluster_time": cluster_time.run,
    "delivery": delivery.run,
    "fifty_machines": fifty_machines.run,
    "ledger_size": ledger_size.run,
    "machine_time": machine_time.run,
    "memory": memory.run,
    "vm_time": vm_time.run,
}
