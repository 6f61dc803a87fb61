"""``colobus vm``: virtual machines."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import options, power, resources
from colobus.cli.creating import creates
from colobus.models import CreateVm, VmSpec

app = typer.Typer(help="Virtual machines.", no_args_is_help=True)


@creates(app, CreateVm)
def create(
    image: Annotated[str, typer.Option(help="Name or id.")],
    flavor: Annotated[str, typer.Option(help="Name or id.")],
    network: Annotated[
        str | None, typer.Option(help="Name or id; default: your tenant's own network.")
    ] = None,
    floating_ip: Annotated[
        bool, typer.Option("--floating-ip", help="Make it reachable from outside.")
    ] = False,
    ssh_key: Annotated[
        list[str] | None, typer.Option(metavar="FILE|KEY", help="Public keys; repeatable.")
    ] = None,
    user_data: Annotated[
        str | None, typer.Option(metavar="FILE", help="For cloud-init; - is standard input.")
    ] = None,
    security_group: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    arch: Annotated[str | None, typer.Option(help="Such as aarch64.")] = None,
) -> VmSpec:
    """Ask for a VM."""
    return VmSpec(
        image=image,
        flavor=flavor,
        network=network,
        floating_ip=floating_ip,
        ssh_keys=options.ssh_keys(ssh_key or ()),
        user_data=options.read_file(user_data) if user_data else None,
        security_groups=tuple(security_group or ()),
        arch=arch,
    )


resources.register(app)
power.register(app)
