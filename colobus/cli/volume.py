"""``colobus volume`` and ``colobus snapshot``: block storage, and what it holds at a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import resources
from colobus.cli.creating import creates
from colobus.cli.options import Id
from colobus.cli.output import Format, Output
from colobus.cli.session import session_of
from colobus.models import CreateSnapshot, CreateVolume, SnapshotSpec, VolumeSpec

app = typer.Typer(help="Volumes: block storage that is attached over iSCSI.", no_args_is_help=True)
snapshots = typer.Typer(help="Snapshots of volumes.", no_args_is_help=True)


@creates(app, CreateVolume)
def create(
    size_gib: Annotated[
        int | None, typer.Option(help="Default: that of what it is made of.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="A golden image that it is a copy of.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="A snapshot that it is a copy of.")] = None,
) -> VolumeSpec:
    """Ask for a volume: blank, or a copy of an image or of a snapshot (its id)."""
    return VolumeSpec(size_gib=size_gib, image=image, snapshot=snapshot)


@creates(snapshots, CreateSnapshot)
def create_snapshot(
    volume: Annotated[str, typer.Option(help="The id of a volume.")],
) -> SnapshotSpec:
    """Ask for a snapshot of a volume."""
    return SnapshotSpec(volume=volume)


@app.command()
def resize(
    context: typer.Context,
    id: Id,
    size_gib: Annotated[int, typer.Argument(help="GiB: more than it has.", show_default=False)],
    output: Output = Format.TABLE,
) -> None:
    """Make it larger. Its initiator sees that when it next logs in."""
    grown = session_of(context).run(lambda client: client.grow(id, size_gib))
    resources.show_resource(grown, output)


resources.register(app)
resources.register(snapshots)
