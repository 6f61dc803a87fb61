"""What is done to a living VM: lease, labels, power."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import options
from colobus.cli.options import Id
from colobus.cli.output import Format, Output
from colobus.cli.session import say, session_of
from colobus.cli.vm import show_vm


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (extend, label, reboot, stop, start):
        app.command()(command)


def extend(
    context: typer.Context,
    id: Id,
    ttl: Annotated[
        int, typer.Argument(parser=options.duration, metavar="DURATION", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Let the lease end so long from now."""
    show_vm(session_of(context).run(lambda client: client.extend(id, ttl)), output)


def label(
    context: typer.Context,
    id: Id,
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="None: no labels.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Replace all labels."""
    wanted = options.labels(labels or ())
    show_vm(session_of(context).run(lambda client: client.update(id, labels=wanted)), output)


def reboot(context: typer.Context, id: Id) -> None:
    """Reboot it."""
    session_of(context).run(lambda client: client.reboot(id))
    say(f"{id} will be rebooted; `colobus events {id}` shows how it goes")


def stop(context: typer.Context, id: Id) -> None:
    """Power it off."""
    session_of(context).run(lambda client: client.stop(id))
    say(f"{id} will be stopped; `colobus events {id}` shows how it goes")


def start(context: typer.Context, id: Id) -> None:
    """Power it on."""
    session_of(context).run(lambda client: client.start(id))
    say(f"{id} will be started; `colobus events {id}` shows how it goes")
