"""The time until a bare-metal machine's Linux says its first line, against a bare script.

| | target |
|---|---|
| from the POST until the first line of Linux on the console, ours / script | ≤ 1.15 |

The script makes the calls that nobody can do without (`bare_machine`), and waits. Then Ironic and
the machine's own firmware take the same time for both. The metal has no tenants' networks, so that
neither makes a port. ``active`` stands beside it without a target: it waits for the system's own
login, which the script doesn't look for.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bare_machine import BareMachine
from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World
from colobus import Client, Phase
from colobus.golden_images import GoldenImages
from colobus.models import CreateMachine
from devcloud.images import TinyImage
from devcloud.machines import MACHINES
from devcloud.nodes import RESOURCE_CLASS
from devcloud.provisioning import network_of
from tests.integration.iscsi_worker.world import World as Store
from tests.integration.iscsi_worker.world import make_world
from tests.support import devcloud
from tests.support.bare_metal import Console, Metal
from tests.support.installation import SERVICES, Installation
from tests.support.installation import Metal as MetalEntry

STORE, METAL = "rack", "lab"
NOP = "nop_interval=5,nop_count=12"
FIRST_LINE = "tiny: ["


@dataclass(frozen=True)
class Place:
    """What both are measured on."""

    metal: Metal
    store: Store
    image: str


def run(world: World) -> list[Figure]:
    """Boot one machine at a time, in turn."""
    with _place() as place:
        (access,) = place.store.stores().values()
        entry = MetalEntry({"store": STORE}, {"cloud": "devcloud-bare-metal"})
        with world.colobus(stores={STORE: access}, metals={METAL: entry}) as colobus:
            place.store.installation = colobus.name
            colobus.start(*SERVICES, "iscsi_worker", "baremetal_worker")
            rounds = [
                (asyncio.run(_ours(place, colobus)), _script(place))
                for _ in range(max(1, world.rounds - 2))
            ]
    lines = [(line, script) for (line, _), script in rounds]
    proven = median(active - line for (line, active), _ in rounds)
    return [
        side_by_side("POST → first line of Linux", lines, "s", at_most=1.15),
        Figure(what="first line of Linux → active", ours=proven, unit="s"),
    ]


@contextmanager
def _place() -> Iterator[Place]:
    environment = devcloud.up("ceph", "bare-metal", "rabbitmq", "postgresql")
    metal = Metal()
    address = network_of(metal.site).portal
    with (
        tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder,
        make_world(environment, Path(folder), address=address, nop=NOP) as store,
    ):
        image = f"{store.installation}-tiny"
        path = TinyImage(metal.site).build()
        with path.open("rb") as file:
            golden = GoldenImages(store.rbd, store.pool)
            golden.add(image, file, path.stat().st_size, replace=False, progress=lambda _: None)
        store.golden.append(image)
        yield Place(metal, store, image)


def _consoles(place: Place) -> list[Console]:
    return [Console(place.metal.site, machine) for machine in MACHINES]


async def _ours(place: Place, colobus: Installation) -> tuple[float, float]:
    """Return the seconds until the first line, and until ``active``."""
    consoles = _consoles(place)
    async with Client(colobus.url, token=colobus.tokens[TENANT]) as client:
        began = time.perf_counter()
        made = await client.create(CreateMachine(image=place.image, flavor=RESOURCE_CLASS))
        line = asyncio.create_task(asyncio.to_thread(_first_line, consoles))
        await client.wait(made.id, timeout=300)
        active = time.perf_counter()
        seconds = await line - began, active - began
        await client.delete(made.id)
        await client.wait(made.id, Phase.DELETED, timeout=300)
    return seconds


def _first_line(consoles: list[Console]) -> float:
    """Return when the first of them said the first line."""
    until = time.monotonic() + 300
    while not any(FIRST_LINE in console.text() for console in consoles):
        if time.monotonic() > until:
            raise TimeoutError("no console said a line")
        time.sleep(0.02)
    return time.perf_counter()


def _script(place: Place) -> float:
    """Do it by hand; return the seconds until the first line. Afterwards all is taken away."""
    consoles = _consoles(place)
    machine = BareMachine(
        place.metal.ironic, place.store, place.image, RESOURCE_CLASS, MACHINES[0].arch
    )
    began = time.perf_counter()
    machine.make()
    seconds = _first_line(consoles) - began
    wait = place.metal.ironic.wait_for_nodes_provision_state
    wait([machine.node_id], "active", timeout=120)
    machine.undeploy()
    wait([machine.node_id], "available", timeout=120)
    machine.clear()
    return seconds
