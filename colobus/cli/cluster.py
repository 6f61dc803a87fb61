"""``colobus cluster``: Kubernetes clusters, and what opens them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from colobus.cli import options, resources
from colobus.cli.creating import creates
from colobus.cli.options import Id, Ids
from colobus.cli.output import Format, Output
from colobus.cli.session import say, session_of
from colobus.models import ClusterSpec, CreateCluster

app = typer.Typer(help="Kubernetes clusters.", no_args_is_help=True)


@creates(app, CreateCluster)
def create(
    version: Annotated[str, typer.Option(help="Of Kubernetes: 1.20, or 1.20.2.")],
    node_count: Annotated[int, typer.Option(help="How many workers.")] = 1,
    flavor: Annotated[str | None, typer.Option(help="Of its workers.")] = None,
    template: Annotated[
        str | None, typer.Option(help="A cluster template of Magnum's, by name or id.")
    ] = None,
    arch: Annotated[str | None, typer.Option(help="An architecture.")] = None,
) -> ClusterSpec:
    """Ask for a Kubernetes cluster."""
    return ClusterSpec(
        version=version, node_count=node_count, flavor=flavor, template=template, arch=arch
    )


@app.command()
def resize(
    context: typer.Context,
    id: Id,
    node_count: Annotated[int, typer.Argument(help="How many workers.", show_default=False)],
    output: Output = Format.TABLE,
) -> None:
    """Let it have more or fewer workers."""
    changed = session_of(context).run(lambda client: client.resize_cluster(id, node_count))
    resources.show_resource(changed, output)


@app.command()
def kubeconfig(
    context: typer.Context,
    id: Id,
    file: Annotated[
        Path | None, typer.Option(help="Write it here, for you alone, instead of showing it.")
    ] = None,
) -> None:
    """Show what opens it, for KUBECONFIG. It is made whenever you ask, with a key of its own."""
    found = session_of(context).run(lambda client: client.kubeconfig(id))
    if file is None:
        typer.echo(found.kubeconfig, nl=False)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(file, flags, 0o600), "w") as written:
            os.fchmod(written.fileno(), 0o600)  # where there was one already
            written.write(found.kubeconfig)
    say(f"It opens {found.api_address} until {found.expires_at:%Y-%m-%d %H:%M} UTC.")


def delete(
    context: typer.Context,
    ids: Ids,
    force: Annotated[bool, typer.Option("--force", help="With the apps that are on them.")] = False,
    wait: options.WaitDeleted = False,
) -> None:
    """Give them back, each as soon as no app is on it any more."""
    resources.give_back(session_of(context), ids, wait=wait, force=force)


resources.register(app, end=delete)
