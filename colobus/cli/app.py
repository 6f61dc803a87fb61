"""The map of the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import (
    attachment,
    cluster,
    follow,
    image,
    info,
    machine,
    node,
    stack,
    vm,
    volume,
    webhook,
    workload,
)
from colobus.cli.session import Session

HELP = """Ask a Colobus for machines, virtual or bare, volumes and stacks; see what became of them.

Where and who: COLOBUS_URL, and COLOBUS_TOKEN or the OS_* variables (or a cloud of clouds.yaml).

Exit codes: 0 done, 1 the resource failed or the request was refused, 2 wrong usage, 3 not found,
4 not authorized, 5 service unavailable, 124 the timeout ended first, 130 interrupted.
"""

app = typer.Typer(name="colobus", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
#: The group of a kind bears its name: its commands go by that.
app.add_typer(vm.app, name="vm")
app.add_typer(machine.app, name="machine")
app.add_typer(volume.app, name="volume")
app.add_typer(volume.snapshots, name="snapshot")
app.add_typer(attachment.app, name="attachment")
app.add_typer(cluster.app, name="cluster")
app.add_typer(workload.app, name="app")
app.add_typer(stack.app, name="stack")
app.add_typer(image.app, name="image")
app.add_typer(node.app, name="node")
app.add_typer(webhook.app, name="webhook")
follow.register(app)
info.register(app)


@app.callback()
def connection(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="COLOBUS_URL", help="The front door's address.")
    ] = None,
    os_cloud: Annotated[
        str | None, typer.Option(help="A cloud of clouds.yaml whose Keystone knows you.")
    ] = None,
    retry_for: Annotated[
        float, typer.Option(help="Seconds for which an unavailable service is tried again.")
    ] = 30.0,
) -> None:
    """Note whom to ask, and as whom."""
    context.obj = Session(url=url, os_cloud=os_cloud, retry_for=retry_for)
