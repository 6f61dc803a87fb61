"""Show how far each component is: a live table on a terminal, else plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

STYLES = {"ready": "green", "done": "green", "stopped": "green", "failed": "bold red"}
FINAL = frozenset({"ready", "done", "stopped", "failed", "skipped", "interrupted"})


class Progress:
    """What each of the named things is doing and for how many seconds."""

    def __init__(self, names: Iterable[str], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._began = time.monotonic()
        self._phases = dict.fromkeys(names, "waiting")
        self._active: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()
        self._live = (
            Live(get_renderable=self._table, console=self._console, refresh_per_second=5)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show the last state and stop."""
        if self._live:
            self._live.stop()

    def __call__(self, name: str, phase: str) -> None:
        """Note that `name` entered a phase."""
        with self._lock:
            now = time.monotonic()
            self._phases[name] = phase
            since = self._active.setdefault(name, now)
            if phase in FINAL:
                self._ended[name] = now
            if not self._live:
                took = f" ({now - since:.1f} s)" if phase in FINAL else ""
                line = f"{now - self._began:6.1f} s  {name}: {phase}{took}"
                self._console.print(line, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("component")
        table.add_column("state")
        table.add_column("seconds", justify="right")
        with self._lock:
            for name, phase in self._phases.items():
                style = STYLES.get(phase, "dim" if phase in ("waiting", "skipped") else "yellow")
                since = self._active.get(name)
                end = self._ended.get(name, time.monotonic())
                seconds = "" if since is None else f"{end - since:.1f}"
                table.add_row(name, f"[{style}]{phase}[/]", seconds)
        return table
