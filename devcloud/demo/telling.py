"""What the demo says, and what its parts share."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from colobus import Client, LeaseRequest, Phase, Resource, ResourceEnded
from colobus.cli.live import follow_live
from colobus.cli.output import details
from colobus.models import TERMINAL_PHASES

PERSON = "alice"
LABELS = {"made-by": "demo"}
LEASE_HOURS = 1
LEASE = LeaseRequest(ttl=LEASE_HOURS * 3600)

out = Console(highlight=False)


class DemoFailed(RuntimeError):
    """The demo did not do what it is there to show."""


@dataclass(frozen=True)
class Shown:
    """What was made and goes on after the demo; None: there can be none, or none was wanted."""

    vm: Resource
    machine: Resource | None
    stack: Resource | None
    cluster: Resource | None
    app: Resource | None

    def ids(self) -> list[str]:
        """Return what goes when its lease ends."""
        made = (self.vm, self.machine, self.stack, self.cluster, self.app)
        return [one.id for one in made if one is not None]


async def follow_until_active(client: Client, resource_id: str) -> Resource:
    """Show a resource's steps up to `active`; anything else is `ResourceEnded`."""
    until = {Phase.ACTIVE, *TERMINAL_PHASES}
    resource = await follow_live(client, resource_id, until, console=out)
    if resource.status.phase is not Phase.ACTIVE:
        raise ResourceEnded(resource)
    out.print()
    return resource


def show_outputs(resource: Resource) -> None:
    """Print what a resource's owner is told of it."""
    details([(name.replace("_", " "), value) for name, value in resource.status.outputs.items()])


def heading(text: str) -> None:
    """Print what comes now."""
    out.print(f"\n[bold]{text}[/]", soft_wrap=True)


def fail(text: str) -> NoReturn:
    """Say why, and exit."""
    Console(stderr=True).print(Text(text, "red"), soft_wrap=True)
    sys.exit(1)
