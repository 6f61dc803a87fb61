"""Processes are recognised by more than their number."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.account import Account
from devcloud.paths import Paths
from devcloud.ports import HOST
from devcloud.processes import LISTENER, Daemon, ProcessTable, read_stat
from tests.support.conditions import eventually_sync

SLEEPER = Daemon("sleeper", ["sleep", "60"])
STUBBORN = Daemon(
    "stubborn", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], grace=0.3
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    for folder in (found.run, found.log, found.home):
        folder.mkdir(parents=True)
    return found


@pytest.fixture
def table(paths: Paths) -> Iterator[ProcessTable]:
    made = ProcessTable(paths, Account(name="me", uid=os.geteuid(), gid=os.getegid()))
    yield made
    for daemon in (SLEEPER, STUBBORN):
        made.kill(daemon.name)


def test_starting_twice_starts_once(table: ProcessTable) -> None:
    """Any command may be repeated."""
    table.spawn(SLEEPER)
    first = table.pid("sleeper")
    table.spawn(SLEEPER)
    assert first is not None
    assert table.pid("sleeper") == first


def test_a_later_command_knows_the_process(table: ProcessTable, paths: Paths) -> None:
    """The record in the run folder is all that is needed."""
    table.spawn(SLEEPER)
    later = ProcessTable(paths, Account(name="me", uid=os.geteuid(), gid=os.getegid()))
    assert later.pid("sleeper") == table.pid("sleeper")


def test_a_process_leads_its_own_group(table: ProcessTable) -> None:
    """So the whole group can be stopped and a terminal's Ctrl-C doesn't reach it."""
    table.spawn(SLEEPER)
    pid = table.pid("sleeper")
    assert pid is not None
    assert os.getpgid(pid) == os.getsid(pid) == pid


def test_a_recycled_pid_is_never_signalled(table: ProcessTable, paths: Paths) -> None:
    """A stranger that got the number of ours is not ours: other start time."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        stat = read_stat(stranger.pid)
        assert stat is not None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = {"pid": stranger.pid, "start_time": stat.start_time - 1, "boot": boot}
        (paths.run / "sleeper.json").write_text(json.dumps(record))
        assert table.pid("sleeper") is None
        table.stop(SLEEPER)
        assert stranger.poll() is None
        stranger.kill()


def test_a_record_from_before_a_reboot_means_nothing(table: ProcessTable, paths: Paths) -> None:
    """Start times count from the boot, so they may repeat after the next."""
    table.spawn(SLEEPER)
    file = paths.run / "sleeper.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "boot": "another"}))
    assert table.pid("sleeper") is None
    file.write_text(json.dumps(record))


def test_a_process_that_ignores_the_request_is_ended_after_its_grace(table: ProcessTable) -> None:
    """Some OpenStack daemons ignore SIGTERM."""
    table.spawn(STUBBORN)
    while "deaf" not in table.log("stubborn").read_text():
        assert table.pid("stubborn") is not None
    table.stop(STUBBORN)
    assert table.pid("stubborn") is None


def test_what_a_dead_leader_leaves_behind_is_stopped_too(table: ProcessTable) -> None:
    """A worker whose master crashed still holds the port."""
    family = Daemon("sleeper", ["sh", "-c", "sleep 60 & echo $!; wait"])
    table.spawn(family)
    while not (text := table.log("sleeper").read_text().strip()):
        assert table.pid("sleeper") is not None
    leader = table.pid("sleeper")
    assert leader is not None
    os.kill(leader, signal.SIGKILL)
    while table.pid("sleeper") is not None:
        pass
    table.stop(family)
    orphan = read_stat(int(text))
    assert orphan is None or orphan.state == "Z"


def test_a_paused_process_stands_still_until_it_is_resumed(table: ProcessTable) -> None:
    """It is still there, and still ours, but does nothing."""
    table.spawn(SLEEPER)
    pid = table.pid("sleeper")
    assert pid is not None

    def state() -> str:
        stat = read_stat(pid)
        return stat.state if stat else "gone"

    table.pause("sleeper")
    eventually_sync(lambda: state() == "T", what="it stands still")
    assert table.pid("sleeper") == pid
    table.resume("sleeper")
    eventually_sync(lambda: state() == "S", what="it goes on")


def test_a_daemon_is_given_the_socket_that_it_shall_listen_on(table: ProcessTable) -> None:
    """It was opened before the daemon was anywhere else, or anybody else."""
    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    greet = (
        "import os, socket; s = socket.socket(fileno=int(os.environ[sys.argv[1]])); "
        "s.accept()[0].sendall(b'hello')"
    )
    argv = [sys.executable, "-c", f"import sys; {greet}", LISTENER]
    table.spawn(Daemon("sleeper", argv, listen=(HOST, port)))
    with socket.create_connection((HOST, port), timeout=30) as connection:
        assert connection.recv(5) == b"hello"


def test_what_enters_somewhere_comes_before_what_changes_the_user() -> None:
    """The process id stays the same all the way, and some of root's rights may be kept."""
    other = Account(name="other", uid=os.geteuid() + 1, gid=1)
    argv = other.command(["dnsmasq"], capabilities=("net_raw", "net_admin"))
    assert argv[0] == "setpriv"
    assert "--ambient-caps=+net_raw,+net_admin" in argv
    assert "caps" not in " ".join(other.command(["dnsmasq"]))
