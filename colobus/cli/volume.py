"""``colobus volume`` and ``colobus snapshot``: block storage, and what it holds at a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import resources
from colobus.cli.creating import creates
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


resources.register(app)
resources.register(snapshots)
