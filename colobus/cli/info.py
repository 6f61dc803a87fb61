"""``colobus quota``, ``capacity`` and ``catalog``: what there is to have."""

from __future__ import annotations

import typer

from colobus.cli.output import Format, Output, details, show, write_data
from colobus.cli.session import say, session_of
from colobus.client import Client
from colobus.models import CloudCapacity


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (quota, capacity, catalog):
        app.command()(command)


def quota(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show what you may hold, and hold."""
    found = session_of(context).run(Client.quota)
    if output is not Format.TABLE:
        write_data(found, output)
        return
    names = sorted(found.limits.keys() | found.used.keys())
    columns = (
        ("what", lambda name: name),
        ("used", lambda name: found.used.get(name, 0)),
        ("limit", lambda name: found.limits.get(name)),
    )
    show(names, output, columns, name=str)
    details([("waiting", found.waiting)])


def capacity(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show what your clouds can take now."""
    found = session_of(context).run(Client.capacity)
    if output is not Format.TABLE:
        write_data(found, output)
        return
    columns = (
        ("cloud", lambda cloud: cloud.cloud),
        ("building", lambda cloud: cloud.building),
        ("limit", lambda cloud: cloud.limit),
        ("recent failures", lambda cloud: cloud.recent_failures),
        ("resting until", lambda cloud: cloud.resting_until),
    )
    show(found.clouds, output, columns, name=CloudCapacity.__repr__)
    details([("waiting", found.waiting)])


def catalog(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show what clouds offer (images, flavors, networks), and stores (golden images)."""
    found = session_of(context).run(Client.catalog)
    if output is not Format.TABLE:
        write_data(found, output)
    for cloud in found.clouds if output is Format.TABLE else ():
        details(
            [
                ("cloud", cloud.cloud),
                ("images", cloud.images),
                ("networks", cloud.networks),
                ("security groups", cloud.security_groups),
            ]
        )
        show(cloud.flavors, output, _FLAVOR_COLUMNS, name=lambda flavor: flavor.name)
    for store in found.stores if output is Format.TABLE else ():
        details([("store", store.store)])
        show(store.images, output, _IMAGE_COLUMNS, name=lambda image: image.name)
    for problem in found.problems:
        say(f"{problem.title}: {problem.detail or ''}", "yellow")


_FLAVOR_COLUMNS = (
    ("flavor", lambda flavor: flavor.name),
    ("vcpus", lambda flavor: flavor.vcpus),
    ("ram MiB", lambda flavor: flavor.ram_mib),
    ("disk GiB", lambda flavor: flavor.disk_gib),
)
_IMAGE_COLUMNS = (
    ("golden image", lambda image: image.name),
    ("size GiB", lambda image: image.size_gib),
)
