"""Results on standard output: tables for people, JSON, YAML and names for programs."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colobus.models import Resource

T = TypeVar("T")

PHASE_STYLES = {
    "active": "green",
    "failed": "bold red",
    "deleted": "dim",
    "waiting": "magenta",
    "delivered": "green",
}


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format, typer.Option("--output", "-o", help="How results are written.")]


def console() -> Console:
    """Return standard output; what is piped is not broken into lines."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=400)


def show(
    items: Sequence[T],
    form: Format,
    columns: Sequence[tuple[str, Callable[[T], object]]],
    *,
    name: Callable[[T], str],
    one: bool = False,
) -> None:
    """Write items; ``one`` writes a single item not as a list."""
    if form is Format.TABLE:
        _table(items, columns)
    elif form is Format.NAME:
        typer.echo("".join(f"{name(item)}\n" for item in items), nl=False)
    else:
        write_data(items[0] if one else list(items), form)


def write_data(value: object, form: Format) -> None:
    """Write any value as JSON, or as YAML."""
    if form is Format.YAML:
        text = msgspec.yaml.encode(value).decode()
        typer.echo(text, nl=False)
    else:
        typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _table(items: Iterable[T], columns: Sequence[tuple[str, Callable[[T], object]]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in columns:
        table.add_column(title, overflow="fold")
    for item in items:
        table.add_row(*(cell(value_of(item)) for _, value_of in columns))
    console().print(table)


def cell(value: object) -> Text:
    """Return a value as people read it."""
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ"))
    if isinstance(value, (list, tuple)):
        return Text(", ".join(map(str, value)))
    if isinstance(value, dict):
        return Text(", ".join(f"{key}={item}" for key, item in value.items()))
    return Text(str(value), PHASE_STYLES.get(str(value), ""))


def details(pairs: Iterable[tuple[str, object]]) -> None:
    """Write names and values below each other; what has no value is left out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for title, value in pairs:
        if value not in (None, "", (), {}, []):
            table.add_row(title, cell(value))
    console().print(table)


def words(name: str) -> str:
    """Return a field's name as people read it."""
    return name.replace("_", " ")


def age(resource: Resource) -> str:
    """Return how long ago it was asked for, in its largest unit."""
    return span((datetime.now(UTC) - resource.created_at).total_seconds())


def span(seconds: float) -> str:
    """Return a time span shortly: ``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"
