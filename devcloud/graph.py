"""Run work in the order of its requirements, side by side where they allow it."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait


class RequirementFailed(RuntimeError):
    """Something this work needs did not come about."""


class UnknownName(ValueError):
    """No component has this name."""


def closure(names: Collection[str], requires: Mapping[str, Collection[str]]) -> set[str]:
    """Return the names and everything they require, directly or not."""
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in requires:
            raise UnknownName(f"no component is called {name}; there are: {', '.join(requires)}")
        if name not in wanted:
            wanted.add(name)
            open_names.extend(requires[name])
    return wanted


def reverse(requires: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return the order for stopping: each waits for all that need it."""
    turned: dict[str, set[str]] = {name: set() for name in requires}
    for name, needs in requires.items():
        for need in needs:
            turned.setdefault(need, set()).add(name)
    return turned


def run_graph(
    requires: Mapping[str, Collection[str]],
    work: Callable[[str], None],
    cancel: Callable[[], None],
) -> dict[str, BaseException]:
    """Do the work of every name once that of its requirements is done.

    Args:
        requires: Name to names; all of them keys themselves.
        work: Called in a thread of its own.
        cancel: Called when the user interrupts; must make running work end soon.

    Returns:
        What failed and why; `RequirementFailed` for what was therefore not tried.
    """
    order = list(graphlib.TopologicalSorter(requires).static_order())
    futures: dict[str, Future[None]] = {}

    def run(name: str) -> None:
        for need in requires[name]:
            if futures[need].exception() is not None:
                raise RequirementFailed(f"needs {need}")
        work(name)

    # A thread for each, because threads also wait for requirements; in topological order, because
    # these must be submitted first.
    with ThreadPoolExecutor(max_workers=max(1, len(order))) as pool:
        for name in order:
            futures[name] = pool.submit(run, name)
        try:
            while wait(futures.values(), timeout=0.5).not_done:
                pass
        except KeyboardInterrupt:
            cancel()
            wait(futures.values())
            raise
    return {name: error for name in order if (error := futures[name].exception()) is not None}
