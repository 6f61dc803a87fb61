"""The processes of one control plane: children of the host, in its process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

GRACE = 5.0


class Children:
    """Processes by name; each has a log of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start one that doesn't run."""
        if self.alive(name):
            return
        logs, temporary = self._folder / "log", self._folder / "tmp"
        for folder in (logs, temporary):
            folder.mkdir(exist_ok=True)
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "TMPDIR": str(temporary)},
            )

    def alive(self, name: str) -> bool:
        """Tell whether it runs."""
        return name in self._running and self._running[name].poll() is None

    def ended(self) -> list[str]:
        """Return the names of those that ended by themselves."""
        return [name for name in self._running if not self.alive(name)]

    def pids(self) -> dict[str, int]:
        """Return the processes that run."""
        return {name: p.pid for name, p in self._running.items() if p.poll() is None}

    def log(self, name: str) -> Path:
        """Return where its output goes."""
        return self._folder / "log" / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Return the end of what it said."""
        with contextlib.suppress(FileNotFoundError):
            return self.log(name).read_text(errors="replace").strip()[-500:]
        return ""

    def stop(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one, if it runs, and wait for its end."""
        process = self._running.pop(name, None)
        if process is None:
            return
        # One that was paused (SIGSTOP) takes no other signal but SIGKILL.
        process.send_signal(how)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
