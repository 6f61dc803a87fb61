"""What is done to a living machine: power."""

from __future__ import annotations

import typer

from colobus.cli.options import Id
from colobus.cli.session import say, session_of


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (reboot, stop, start):
        app.command()(command)


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
