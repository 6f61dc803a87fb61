"""Start, recognise and stop daemons, each in a session and process group of its own.

A process is remembered by pid, start time and boot: pids are recycled, and nothing that isn't ours
may ever be signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devcloud.account import Account
from devcloud.paths import Paths

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LISTENER = "DEVCLOUD_LISTENER"
"""Tells a daemon which of its open files is the socket that it was given."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """How to run one process and how to ask it to stop.

    Some OpenStack daemons ignore SIGTERM, hence `grace`: seconds until SIGKILL. `enter` is put
    before the command that changes the user: it may enter a network namespace, as root. `listen`
    is an address to open before that, so outside of the namespace (see `LISTENER`).
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    enter: Sequence[str] = ()
    capabilities: Sequence[str] = ()
    listen: tuple[str, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc says of one process."""

    pid: int
    state: str
    group: int
    session: int
    start_time: int


def read_stat(pid: int) -> Stat | None:
    """Return what the kernel knows of a process, or None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        pid=pid,
        state=fields[0],
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
    )


def is_alive(stat: Stat) -> bool:
    """Tell whether a process still runs, and so holds its ports.

    One whose first thread has ended is shown as a zombie while its other threads go on.
    """
    if stat.state != "Z":
        return True
    try:
        return len(list(Path(f"/proc/{stat.pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


class ProcessTable:
    """The daemons of one cloud, recorded in its run folder so that any later command knows them."""

    def __init__(self, paths: Paths, account: Account) -> None:
        self._paths = paths
        self._account = account

    def log(self, name: str) -> Path:
        """Return where a process's output goes."""
        return self._paths.log / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """Return the pid of a daemon that runs and is provably ours."""
        record = self._record(name)
        if record is None:
            return None
        pid, start_time = record
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # our own dead child would linger as a zombie
        stat = read_stat(pid)
        if stat is None or stat.start_time != start_time or not is_alive(stat):
            return None
        return pid

    def spawn(self, daemon: Daemon) -> None:
        """Start a daemon unless it runs already."""
        if self.pid(daemon.name) is not None:
            return
        self.stop(daemon)  # what a dead leader left behind would hold its port
        environment = {
            "HOME": str(self._paths.home),
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            **daemon.environment,
        }
        own = self._account.command(daemon.argv, capabilities=daemon.capabilities)
        with contextlib.ExitStack() as held:
            log = held.enter_context(self.log(daemon.name).open("ab"))
            given: list[int] = []
            if daemon.listen is not None:
                given = [held.enter_context(socket.create_server(daemon.listen)).fileno()]
                environment[LISTENER] = str(given[0])
            process = subprocess.Popen(
                # Whoever runs us in the background ignores SIGINT, and what he starts does, too.
                ["env", "--default-signal", *daemon.enter, *own],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._paths.home,
                start_new_session=True,
                umask=0o027,
                pass_fds=given,
            )
        stat = read_stat(process.pid)
        process.returncode = 0  # from here on the record stands for it, not this object
        record = {
            "pid": process.pid,
            "start_time": stat.start_time if stat else 0,
            "boot": _boot_id(),
            "started_at": time.time(),
        }
        partial = self._record_path(daemon.name).with_suffix(".partial")
        partial.write_text(json.dumps(record) + "\n")
        partial.replace(self._record_path(daemon.name))

    def started_at(self, name: str) -> float:
        """Return when a daemon was last started, in seconds since the epoch; 0 if never."""
        try:
            return float(json.loads(self._record_path(name).read_text())["started_at"])
        except FileNotFoundError:
            return 0.0

    def stop(self, daemon: Daemon) -> None:
        """Ask a daemon's whole group to stop, and end it when its grace is over."""
        self._signal(daemon.name, daemon.stop_signal)
        if not self._wait_gone(daemon.name, daemon.grace):
            self.kill(daemon.name)
        self._record_path(daemon.name).unlink(missing_ok=True)

    def recorded(self) -> set[str]:
        """Return the names of all daemons that were started, and not stopped since."""
        return {path.stem for path in self._paths.run.glob("*.json")}

    def kill(self, name: str) -> None:
        """End a daemon's whole group at once (SIGKILL), as a crash would."""
        self._signal(name, signal.SIGKILL)
        if not self._wait_gone(name, 10.0):
            raise TimeoutError(f"{name} outlived SIGKILL")

    def pause(self, name: str) -> None:
        """Stop a daemon's whole group where it is."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a daemon's whole group go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        if members := self._members(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(members[0].group, number)

    def _wait_gone(self, name: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._members(name):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _members(self, name: str) -> list[Stat]:
        """Return the living processes of a daemon's group, its leader alive or not."""
        record = self._record(name)
        if record is None:
            return []
        leader, start_time = record
        self.pid(name)
        if (stat := read_stat(leader)) is not None and stat.start_time != start_time:
            return []  # the number is somebody else's now
        stats = [read_stat(int(e.name)) for e in Path("/proc").iterdir() if e.name.isdigit()]
        return [
            s
            for s in stats
            if s and s.group == leader and s.session == leader and is_alive(s)
            and s.start_time >= start_time
        ]  # fmt: skip

    def _record_path(self, name: str) -> Path:
        return self._paths.run / f"{name}.json"

    def _record(self, name: str) -> tuple[int, int] | None:
        try:
            record = json.loads(self._record_path(name).read_text())
        except FileNotFoundError:
            return None
        if record["boot"] != _boot_id():
            return None
        return int(record["pid"]), int(record["start_time"])


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()
