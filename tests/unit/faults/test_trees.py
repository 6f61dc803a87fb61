"""A pause stops everything below a process, whatever groups it has made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.trees import below, resume, suspend
from tests.support.conditions import eventually_sync

#: As a postmaster does: each child leads a session, and so a group, of its own.
_POSTMASTER = """
import subprocess, sys
children = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""


@pytest.fixture
def postmaster() -> Iterator[subprocess.Popen[bytes]]:
    """A process with two children, each in a group of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", _POSTMASTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.communicate(timeout=30)


def test_all_are_stopped_and_all_go_on(postmaster: subprocess.Popen[bytes]) -> None:
    """The children too, of which the parent's group knows nothing."""
    stopped = suspend([postmaster.pid])
    assert len(stopped) == 3
    try:
        eventually_sync(lambda: _all_stopped(stopped), what="all are stopped")
    finally:
        resume(below([postmaster.pid]))  # as one does who knows only the first
    eventually_sync(lambda: not _any_stopped(stopped), what="all go on")


def test_what_has_ended_is_passed_over() -> None:
    """A crash while it is paused is no error of the harness."""
    with subprocess.Popen(["sleep", "60"]) as process:
        stopped = suspend([process.pid])
        process.kill()
    resume(stopped)
    assert suspend([process.pid]) == []


def _all_stopped(processes: list[psutil.Process]) -> bool:
    return all(process.status() == psutil.STATUS_STOPPED for process in processes)


def _any_stopped(processes: list[psutil.Process]) -> bool:
    return any(process.status() == psutil.STATUS_STOPPED for process in processes)
