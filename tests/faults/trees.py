"""Stopping all processes of a component where they are, also those that have groups of their own.

PostgreSQL's server processes do: while its postmaster alone is stopped, all sessions go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def below(roots: Iterable[int]) -> list[psutil.Process]:
    """Return these processes (pids) and all below them, from the top."""
    found: list[psutil.Process] = []
    for pid in roots:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def suspend(roots: Iterable[int]) -> list[psutil.Process]:
    """SIGSTOP these processes and all below them; return them, to be resumed.

    Until there are no others: what is not stopped yet may start one. What has ended meanwhile is
    passed over.
    """
    pids = list(roots)
    stopped: list[psutil.Process] = []
    while new := [process for process in below(pids) if process not in stopped]:
        for process in new:
            stopped.append(process)
            with suppress(psutil.NoSuchProcess):
                process.suspend()
    return stopped


def resume(stopped: Iterable[psutil.Process]) -> None:
    """SIGCONT them; who runs notices nothing, and what has ended meanwhile is passed over."""
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.resume()
