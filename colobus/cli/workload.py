"""``colobus app``: workloads on Kubernetes clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from colobus.cli import resources
from colobus.cli.creating import change_of, creates
from colobus.cli.options import Id
from colobus.cli.output import Format, Output
from colobus.cli.session import session_of
from colobus.models import AppSpec, CreateApp, UpdateApp

app = typer.Typer(help="Workloads on Kubernetes clusters.", no_args_is_help=True)
Manifests = Annotated[
    Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Manifests, in YAML.")
]
Image = Annotated[str | None, typer.Option(help="Instead: the image of a container.")]
Port = Annotated[int | None, typer.Option(help="Its port, to be reached from outside.")]
Host = Annotated[str | None, typer.Option(help="The only name it is reached by.")]


@creates(app, CreateApp)
def create(
    cluster: Annotated[str, typer.Option(help="The id of its cluster.")],
    file: Manifests = None,
    image: Image = None,
    port: Port = None,
    replicas: Annotated[int, typer.Option(help="How many of it.")] = 1,
    host: Host = None,
) -> AppSpec:
    """Ask for a workload: of manifests, or of an image."""
    return AppSpec(
        cluster=cluster,
        manifests=_text(file),
        image=image,
        port=port,
        replicas=replicas,
        host=host,
    )


@app.command()
def change(
    context: typer.Context,
    id: Id,
    file: Manifests = None,
    image: Image = None,
    port: Port = None,
    replicas: Annotated[int | None, typer.Option(help="How many of it.")] = None,
    host: Host = None,
    output: Output = Format.TABLE,
) -> None:
    """Roll out other manifests, or another image, port, number or host."""
    asked = change_of(
        UpdateApp, manifests=_text(file), image=image, port=port, replicas=replicas, host=host
    )
    changed = session_of(context).run(lambda client: client.change_app(id, asked))
    resources.show_resource(changed, output)


def _text(file: Path | None) -> str | None:
    return None if file is None else file.read_text("utf-8")


resources.register(app)
