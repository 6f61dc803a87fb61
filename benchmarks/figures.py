"""What a benchmark finds out, as a table for people and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
import psutil
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the table.

    ``ours`` and ``reference`` are in ``unit``; where there is a reference, ``ratio`` is the median
    of the rounds' ratios ours / reference. The target is about the ratio, else about ``ours``;
    ``worst`` and ``best`` are the ends of what was measured (of that same number).
    """

    what: str
    ours: float
    unit: str
    reference: float | None = None
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def judged(self) -> float:
        """The number that the target is about."""
        return self.ours if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.at_least is not None:
            return self.judged >= self.at_least
        return None if self.at_most is None else self.judged <= self.at_most

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


def side_by_side(
    what: str,
    rounds: Sequence[tuple[float, float]],
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Figure:
    """Return the figure for ``rounds`` of (ours, reference)."""
    ratios = [ours / reference for ours, reference in rounds]
    return Figure(
        what=what,
        ours=median(ours for ours, _ in rounds),
        reference=median(reference for _, reference in rounds),
        ratio=median(ratios),
        unit=unit,
        at_least=at_least,
        at_most=at_most,
        spread=(min(ratios), max(ratios)),
        note=note,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; ``share`` is in 0 … 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(console: Console, found: dict[str, list[Figure]]) -> None:
    """Print the table; {benchmark: its figures}."""
    table = Table("benchmark", "what", title="Colobus, side by side")
    for column in ("ours", "reference", "ratio", "spread", "target"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("met")
    for name, figures in found.items():
        for figure in figures:
            what = f"{figure.what} ({figure.note})" if figure.note else figure.what
            table.add_row(name, what, *_cells(figure))
            name = ""
        table.add_section()
    console.print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    spread = "" if figure.spread is None else "{:.3g} … {:.3g}".format(*figure.spread)
    verdict = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    reference = "" if figure.reference is None else f"{_number(figure.reference)} {figure.unit}"
    ours = f"{_number(figure.ours)} {figure.unit}"
    return ours, reference, ratio, spread, figure.target, verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def keep(folder: Path, found: dict[str, list[Figure]]) -> Path:
    """Write the figures and the machine they are of as JSON; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    document = {
        "at": now,
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_mib": psutil.virtual_memory().total // 2**20,
            "load_before": psutil.getloadavg(),
        },
        "figures": {name: [_plain(one) for one in figures] for name, figures in found.items()},
    }
    file = folder / f"{now:%Y%m%d-%H%M%S}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    return file


def _plain(figure: Figure) -> dict[str, object]:
    return {**msgspec.to_builtins(figure), "met": figure.met}
