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
    network: options.Network = None,
    floating_ip: options.FloatingIp = False,
    ssh_key: options.SshKeys = None,
    user_data: options.UserData = None,
    security_group: options.SecurityGroups = None,
    arch: options.Arch = None,
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
