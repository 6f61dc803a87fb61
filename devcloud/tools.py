"""Run a command to its end, with its output in a log, and let Ctrl-C end it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcloud.account import Account


class ToolFailed(RuntimeError):
    """A command ended with an error; the message holds the end of its output."""


class Cancelled(RuntimeError):
    """The user asked to stop."""


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


class Tools:
    """Runs commands for one cloud.

    Each gets a session of its own, so a terminal's Ctrl-C reaches only us: we then decide which to
    end. dpkg, for one, is left to finish, since half-configured packages would need repair.
    """

    def __init__(self, account: Account, home: Path, log: Path, cancelled: threading.Event) -> None:
        self.account = account
        self.cancelled = cancelled
        self._home = home
        self._log = log

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        as_caller: bool = False,
        environment: Mapping[str, str] | None = None,
        input_file: Path | None = None,
        output_file: Path | None = None,
        may_end: bool = True,
        cwd: Path | None = None,
    ) -> None:
        """Run a command; raise `ToolFailed` with the end of its output if it fails.

        Args:
            name: Names the log.
            argv: Program and arguments.
            as_caller: Run as whoever runs us instead of the daemons' user.
            environment: Added to the caller's (as_caller) or to a minimal one.
            input_file: Fed to standard input.
            output_file: Takes standard output instead of the log.
            may_end: Whether a cancellation ends it early.
            cwd: Where to run it; default: the daemons' home.
        """
        log_path = self._log / f"{name}.log"
        base = dict(os.environ) if as_caller else {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        env = {**base, "LANG": "C.UTF-8", **(environment or {})}
        if not as_caller:
            env.setdefault("HOME", str(self._home))
            argv = self.account.command(argv, die_with_parent=True)
        with (
            (input_file or Path(os.devnull)).open("rb") as stdin,
            log_path.open("ab") as log,
            (output_file or Path(os.devnull)).open("wb") as output,
        ):
            process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=output if output_file else log,
                stderr=log,
                env=env,
                cwd=cwd or self._home,
                start_new_session=True,
                umask=0o022,
            )
            code = self._wait(process, may_end)
        if code != 0:
            raise ToolFailed(f"{name}: {argv[-1]} … ended with {code}\n{tail(log_path)}")

    def read(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Run a short question as the daemons' user and return what it prints."""
        env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", **(environment or {})}
        done = subprocess.run(
            self.account.command(argv), capture_output=True, text=True, env=env, timeout=30,
            check=False, cwd=self._home,
        )  # fmt: skip
        if done.returncode != 0:
            raise ToolFailed(f"{argv[0]} ended with {done.returncode}\n{done.stderr}")
        return done.stdout

    def pause(self, seconds: float) -> None:
        """Wait a little between two looks at a condition."""
        if self.cancelled.wait(seconds):
            raise Cancelled

    def _wait(self, process: subprocess.Popen[bytes], may_end: bool) -> int:
        while True:
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                if may_end and self.cancelled.is_set():
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
                    raise Cancelled from None
