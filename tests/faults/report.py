"""The table at the end of a run: per seed what went wrong, and what became of it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.run import Result
from tests.faults.schedule import Fault


@dataclass
class Report:
    """``notes`` are further figures, a line each."""

    results: dict[str, Result] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def record(self, name: str, folder: Path, faults: Sequence[Fault]) -> Iterator[Result]:
        """Have a result filled in; it is kept, and written into ``folder``, however that ends."""
        result = self.results[name] = Result(faults)
        try:
            yield result
        except BaseException as error:
            result.findings.append(f"broke off: {error!r}")
            error.add_note(result.told())
            raise
        finally:
            for file, lines in (("journal", result.journal), ("findings", result.findings)):
                with (folder / f"{file}.txt").open("a") as written:
                    written.writelines(f"{line}\n" for line in lines)

    def lines(self) -> Iterator[str]:
        """Return the table and the notes as text."""
        if self.results:
            yield from _text(self._table()).splitlines()
        yield from self.notes

    def _table(self) -> Table:
        table = Table(title="Faults in a burst", title_justify="left")
        for column in (
            "seed",
            "faults",
            "outcome",
            "made",
            "doubles",
            "unanswered",
            "webhooks",
        ):
            table.add_column(column)
        for column in ("seconds", "settled after"):
            table.add_column(column, justify="right")
        table.add_column("result")
        for name, result in self.results.items():
            table.add_row(
                name,
                _counted(Counter(fault.kind.value for fault in result.faults)),
                _counted(result.phases),
                f"{result.servers_made} for {result.servers_wanted}",
                _counted(result.duplicates) or "none",
                str(result.unanswered),
                str(result.webhooks),
                f"{result.seconds:.0f}",
                f"{result.settled:.1f}",
                f"{len(result.findings)} wrong" if result.findings else "ok",
            )
        return table


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())


def _text(table: Table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
