"""``colobus node``: Ironic's nodes, which machines are made of. For operators: to Ironic itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from colobus.cli.output import Format, Output, show
from colobus.cli.session import say, session_of, told
from colobus.errors import UnusableInput
from colobus.nodes.enrolment import enrol
from colobus.nodes.ironic import (
    KnownNode,
    connected,
    known_nodes,
    remove_node,
    set_maintenance,
)
from colobus.nodes.node_list import load_nodes

HELP = """Nodes, which machines are made of. For operators: asks Ironic itself.

It needs colobus' extra `nodes`, and a cloud of clouds.yaml whose user has
a role on the system (`system_scope: all`).
"""
app = typer.Typer(help=HELP, no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What the node is called.", show_default=False)]

COLUMNS = (
    ("name", lambda node: node.name),
    ("class", lambda node: node.resource_class),
    ("arch", lambda node: node.arch),
    ("traits", lambda node: node.traits),
    ("state", lambda node: node.state),
    ("power", lambda node: node.power),
    ("maintenance", lambda node: (node.reason or "yes") if node.maintenance else None),
    ("machine", lambda node: node.machine),
)


@app.callback()
def cloud(
    context: typer.Context,
    os_cloud: Annotated[
        str | None, typer.Option(help="The cloud of clouds.yaml; default: OS_CLOUD.")
    ] = None,
) -> None:
    """Note which Ironic, and as whom."""
    context.obj = os_cloud or session_of(context).os_cloud or os.environ.get("OS_CLOUD")


@app.command()
def enroll(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A list.", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Make the nodes of a list known and available. Repeated, it completes what is missing."""
    with told("interrupted; the same command goes on where it was"):
        nodes = load_nodes(file)
        with _ironic(context) as ironic:
            enrol(ironic, nodes, lambda name, what: say(f"{name}: {what}"))
            names = {node.name for node in nodes}
            _show([node for node in known_nodes(ironic) if node.name in names], output)


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show all nodes, and which machine each holds."""
    with told(), _ironic(context) as ironic:
        _show(known_nodes(ironic), output)


@app.command()
def maintenance(
    context: typer.Context,
    name: Name,
    reason: Annotated[
        str | None, typer.Option(help="Told to whoever waits for such a node.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take it out of maintenance.")] = False,
) -> None:
    """Keep a node from new machines, or no longer. What is on it stays."""
    if bool(reason) == off:
        raise typer.BadParameter("give either --reason or --off")
    with told(), _ironic(context) as ironic:
        set_maintenance(ironic, name, reason)
    say(f"{name} is {'out of' if off else 'in'} maintenance")


@app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Make Ironic forget a node that nobody uses."""
    with told(), _ironic(context) as ironic:
        remove_node(ironic, name)
    say(f"{name} is removed")


@contextmanager
def _ironic(context: typer.Context) -> Iterator[Any]:
    if not context.obj:
        raise UnusableInput("which Ironic? Set OS_CLOUD or give --os-cloud")
    with connected(context.obj) as ironic:
        yield ironic


def _show(nodes: list[KnownNode], output: Format) -> None:
    show(nodes, output, COLUMNS, name=lambda node: node.name)
