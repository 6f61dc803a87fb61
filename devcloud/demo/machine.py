"""A diskless machine that boots from a copy of the golden image `tiny`, and what it says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from colobus import Client, CreateMachine, Resource
from devcloud.api import Site
from devcloud.components.golden_image import GoldenImage
from devcloud.demo.telling import (
    LABELS,
    LEASE,
    DemoFailed,
    follow_until_active,
    heading,
    out,
    show_outputs,
)
from devcloud.images import TinyImage
from devcloud.machines import MACHINES, console
from devcloud.nodes import RESOURCE_CLASS

#: What has to be brought up for it, beside all that is brought up without being named.
COMPONENTS = ("baremetal_worker", GoldenImage.name)
#: How `tiny` begins what it says, and how it ends that.
SAYS, READY = "tiny: ", "] ready"
#: How long it may take from its login to there, in seconds.
READY_SECONDS = 60
PAUSE = 0.2


@dataclass(frozen=True)
class Booting:
    """A machine that was asked for, and how long the machines' consoles were before."""

    id: str
    site: Site
    lengths: dict[str, int]


async def begin_machine(client: Client, site: Site) -> Booting:
    """Ask for it: its firmware needs its time, during which other things can be shown."""
    lengths = {}
    for machine in MACHINES:
        file = console(site, machine)
        lengths[machine.name] = file.stat().st_size if file.exists() else 0
    made = await client.create_machine(
        CreateMachine(
            name="demo-machine",
            image=TinyImage.name,
            flavor=RESOURCE_CLASS,
            floating_ip=True,
            labels=LABELS,
            lease=LEASE,
            deadline=600,
        )
    )
    out.print(f"\nPOST /v1/machines → 202, {made.id}, which boots meanwhile", soft_wrap=True)
    return Booting(made.id, site, lengths)


async def show_machine(client: Client, booting: Booting) -> Resource:
    """Show its way, and the lines of its console until it is ready."""
    heading("A machine without a disk (QEMU's, in place of metal), booted from Ceph over iSCSI")
    machine = await follow_until_active(client, booting.id)
    show_outputs(machine)
    out.print("Its floating IP is on its port, to which nothing leads in this small cloud.")
    heading(f"Its console, {console_of(booting.site, machine)}")
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _show_console(booting, machine)
    except TimeoutError:
        raise DemoFailed(f"{machine.id} wasn't ready within {READY_SECONDS} s") from None
    return machine


def console_of(site: Site, machine: Resource) -> Path:
    """Return the log of what it says, and has said under others."""
    (node,) = (one for one in MACHINES if one.name == machine.status.outputs["node"])
    return console(site, node)


async def _show_console(booting: Booting, machine: Resource) -> None:
    """Print what `tiny` says up to its last line; the kernel's own lines are many."""
    file = console_of(booting.site, machine)
    begin, said = booting.lengths[machine.status.outputs["node"]], 0
    while True:
        text = file.read_bytes()[begin:].decode("latin-1") if file.exists() else ""
        whole = text.rpartition("\n")[0].splitlines()
        lines = [line[line.index(SAYS) :] for line in whole if SAYS in line]
        for line in lines[said:]:
            out.print(Text(line), soft_wrap=True)
        said = len(lines)
        if any(READY in line for line in lines):
            return
        await asyncio.sleep(PAUSE)
