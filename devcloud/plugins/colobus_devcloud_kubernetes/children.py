"""The processes of one control plane: children of the host, in its process group."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

GRACE = 5.0
#: How Kubernetes' programs say why they end, before they show where they were.
FATAL = re.compile(r"^F\d{4} .*$", re.MULTILINE)


class Children:
    """Processes by name; each has a log of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start one that doesn't run, in an empty folder of its own."""
        if self.alive(name):
            return
        self.stop(name)
        own = self._own(name)
        for folder in (self.log(name).parent, own):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=own,
                env={**os.environ, "TMPDIR": str(own)},
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
        """Return what it ended with: its own word for that, where it has one, else its last."""
        try:
            text = self.log(name).read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""
        fatal = FATAL.findall(text)
        return str(fatal[-1]) if fatal else text[-500:]

    def stop(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one, if it runs, wait for its end, and remove its folder."""
        if (process := self._running.pop(name, None)) is not None:
            # One that was paused (SIGSTOP) takes no other signal but SIGKILL.
            process.send_signal(how)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._own(name), ignore_errors=True)

    def _own(self, name: str) -> Path:
        return self._folder / "run" / name
