"""Two installations never get the same port, whoever looks for one at the same time."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import installation
from tests.support.installation import ROOT, free_ports

_TAKE = """
import sys
from tests.support import installation
installation.PORTS = range(*map(int, sys.argv[1:]))
print(*installation.free_ports(10), flush=True)
sys.stdin.read()
"""


def test_processes_that_look_at_once_get_different_ports() -> None:
    """Each gets all that it wants, and nothing of the other's."""
    first = free_ports(1)[0] // 100 * 100
    bounds = [str(first), str(first + 100)]
    command = [sys.executable, "-c", _TAKE, *bounds]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    taken = [set(process.stdout.readline().split()) for process in both]
    for process in both:
        process.communicate(timeout=30)
    assert [len(ports) for ports in taken] == [10, 10]
    assert not taken[0] & taken[1]


def test_threads_of_one_process_get_different_ports() -> None:
    """A claim holds against its own process too."""
    with ThreadPoolExecutor(4) as threads:
        found = [port for ports in threads.map(lambda _: free_ports(5), range(8)) for port in ports]
    assert len(set(found)) == 40


def test_what_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are taken, that is said."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        monkeypatch.setattr(installation, "PORTS", range(port, port + 1))
        with pytest.raises(AssertionError, match="are free"):
            free_ports(1)
