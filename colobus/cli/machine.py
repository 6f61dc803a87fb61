"""``colobus machine``: bare metal, asked for in the words of a VM."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli import options, power, resources
from colobus.cli.creating import creates
from colobus.models import CreateMachine, MachineSpec

app = typer.Typer(help="Bare-metal machines.", no_args_is_help=True)


@creates(app, CreateMachine)
def create(
    image: Annotated[str, typer.Option(help="The golden image that its disk is a copy of.")],
    flavor: Annotated[str, typer.Option(help="The operator's name for a class of machines.")],
    root_gib: Annotated[
        int | None, typer.Option(help="The size of its disk; default: that of the image.")
    ] = None,
    network: options.Network = None,
    floating_ip: options.FloatingIp = False,
    ssh_key: options.SshKeys = None,
    user_data: options.UserData = None,
    security_group: options.SecurityGroups = None,
    arch: options.Arch = None,
) -> MachineSpec:
    """Ask for a machine."""
    return MachineSpec(
        image=image,
        flavor=flavor,
        root_gib=root_gib,
        network=network,
        floating_ip=floating_ip,
        ssh_keys=options.ssh_keys(ssh_key or ()),
        user_data=options.read_file(user_data) if user_data else None,
        security_groups=tuple(security_group or ()),
        arch=arch,
    )


resources.register(app)
power.register(app)
