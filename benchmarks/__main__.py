"""``python -m benchmarks [NAME …]``: run them, print the table, keep the JSON."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from benchmarks.figures import keep, show
from benchmarks.table import BENCHMARKS
from benchmarks.world import ROOT, World
from tests.support import devcloud


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(BENCHMARKS))] = None,
    rounds: Annotated[int, typer.Option(min=1, help="rounds of each comparison")] = 5,
    tiny: Annotated[bool, typer.Option(help="only see that they run")] = False,
) -> None:
    """Measure Colobus side by side with the barest thing that could do the same."""
    console = Console(width=max(Console().width, 150))
    unknown = set(names or ()) - set(BENCHMARKS)
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(sorted(unknown))}")
    environment = devcloud.up("catalog", "nova", "rabbitmq", "postgresql")
    world = World(environment, rounds=1 if tiny else rounds, tiny=tiny)
    found = {}
    for name in names or BENCHMARKS:
        console.print(f"[bold]{name}[/] …")
        found[name] = BENCHMARKS[name](world)
    show(console, found)
    console.print(f"kept in {keep(ROOT / 'benchmarks' / 'results', found)}")


if __name__ == "__main__":
    typer.run(main)
