"""``colobus watch`` and ``colobus events``: what happens, and what has happened."""

from __future__ import annotations

import contextlib
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from colobus.cli.options import Id
from colobus.cli.output import PHASE_STYLES, Format, Output, cell, console, show
from colobus.cli.session import session_of
from colobus.client import Client
from colobus.models import TimelineEvent


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(watch)
    app.command()(events)


def watch(
    context: typer.Context,
    id: Annotated[
        str | None, typer.Argument(help="One resource; default: all of yours.", show_default=False)
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="The id of an event: go on after that one.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show events as they happen, until Ctrl-C. `-o json` writes one JSON object a line."""
    out = console()

    async def work(client: Client) -> None:
        async with contextlib.aclosing(client.events(id, after=after)) as stream:
            async for event in stream:
                if output is Format.TABLE:
                    out.print(_line(event), soft_wrap=True)
                elif output is Format.NAME:
                    typer.echo(event.resource_id)
                else:
                    typer.echo(msgspec.json.encode(event).decode())

    session_of(context).run(work, going_on="")


def events(context: typer.Context, id: Id, output: Output = Format.TABLE) -> None:
    """Show the timeline of one resource."""

    async def work(client: Client) -> list[TimelineEvent]:
        return [event async for event in client.timeline(id)]

    columns = (
        ("at", lambda event: event.at),
        ("revision", lambda event: event.revision),
        ("phase", lambda event: event.phase),
        ("what", what_of),
    )
    found = session_of(context).run(work)
    show(found, output, columns, name=lambda event: event.id or "")


def what_of(event: TimelineEvent) -> str:
    """Return an event in words: a worker's event, or the steps and reason of a status."""
    if event.event is not None:
        return f"{event.event} {event.step or ''}".strip()
    if event.resource is None:
        return ""
    status = event.resource.status
    words = [f"{step.name} {step.state}" for step in status.steps if step.state != "pending"]
    words += [f"{operation.verb} {operation.state}" for operation in status.operations]
    reason = [f"({status.reason})"] if status.reason else []
    return " ".join([*reason, ", ".join(words)]).strip()


def _line(event: TimelineEvent) -> Text:
    line = Text.assemble(cell(event.at), " ", event.resource_id, " ")
    phase = event.phase or (event.resource and event.resource.status.phase)
    if phase:
        line.append(f"{phase} ", PHASE_STYLES.get(phase, "yellow"))
    return line.append(what_of(event), "dim" if event.event else "")
