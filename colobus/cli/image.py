"""``colobus image``: golden images, which volumes are copies of. For operators: to Ceph itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from colobus.cli.output import Format, Output, details, show
from colobus.cli.session import say, told
from colobus.errors import UnusableInput
from colobus.golden_images import CephAccess, GoldenImages, golden_images
from colobus.image_files import MIB, opened_raw, whole_mib

HELP = """Golden images, which volumes are made of. For operators: asks Ceph itself.

It needs Debian's python3-rados and python3-rbd, and for a qcow2 qemu-utils.
"""
app = typer.Typer(help=HELP, no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What the image is called.", show_default=False)]

COLUMNS = (
    ("name", lambda image: image.name),
    ("size", lambda image: _size(image.size_bytes)),
    ("proof", lambda image: "phone-home" if image.phones_home else "login"),
    ("volumes", lambda image: len(image.clones)),
    ("created", lambda image: image.created_at),
)


@app.callback()
def access(
    context: typer.Context,
    ceph_conf: Annotated[
        Path, typer.Option(envvar="COLOBUS_CEPH_CONF", help="Where the cluster is.")
    ] = Path("/etc/ceph/ceph.conf"),
    ceph_pool: Annotated[
        str | None, typer.Option(envvar="COLOBUS_CEPH_POOL", help="The pool of the volumes.")
    ] = None,
    ceph_user: Annotated[
        str, typer.Option(envvar="COLOBUS_CEPH_USER", help="Without 'client.'.")
    ] = "admin",
    ceph_keyring: Annotated[
        Path | None,
        typer.Option(envvar="COLOBUS_CEPH_KEYRING", help="Where ceph.conf doesn't say."),
    ] = None,
) -> None:
    """Note which pool, and as whom."""
    user = ceph_user.removeprefix("client.")
    context.obj = CephAccess(ceph_conf, ceph_pool or "", user, ceph_keyring)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Raw or qcow2.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="What the image will be called.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of one that no volume is made of.")
    ] = False,
    phone_home: Annotated[
        bool,
        typer.Option(
            "--phone-home",
            help="A machine of it is active when its system has phoned home (cloud-init does).",
        ),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Import a disk image. It is offered when it is whole, and not before."""
    with _images(context, "interrupted; nothing of it stays") as images:
        images.check_free(name, replace=replace)  # before a large file is made raw
        with opened_raw(file) as (raw, size), _bar(name, size) as bar:
            made = images.add(
                name,
                raw,
                size,
                replace=replace,
                phones_home=phone_home,
                progress=lambda done: bar.update(bar.task_ids[0], completed=done),
            )
    if output is Format.TABLE:
        details((title, value_of(made)) for title, value_of in COLUMNS)
    else:
        show([made], output, COLUMNS, name=lambda image: image.name, one=True)


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show the images that are offered."""
    with _images(context) as images:
        found = images.offered()
    show(found, output, COLUMNS, name=lambda image: image.name)


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Remove an image that no volume is made of."""
    with _images(context) as images:
        images.delete(name)
    say(f"{name} is deleted")


@contextmanager
def _images(context: typer.Context, going_on: str | None = None) -> Iterator[GoldenImages]:
    with told(going_on):
        where = context.obj
        if not isinstance(where, CephAccess) or not where.pool:
            raise UnusableInput("which pool? Set COLOBUS_CEPH_POOL or give --ceph-pool")
        with golden_images(where) as images:
            yield images


@contextmanager
def _bar(name: str, size: int) -> Iterator[Progress]:
    """Show how far it is, where somebody looks."""
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    text = TextColumn("{task.description}", markup=False)
    bar = Progress(
        text, *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    with bar:
        bar.add_task(name, total=size)
        yield bar


def _size(size: int) -> str:
    """Return a size in whole MiB, or GiB where it is that."""
    gib, rest = divmod(whole_mib(size), 1024 * MIB)
    return f"{gib} GiB" if not rest else f"{size // MIB} MiB"
