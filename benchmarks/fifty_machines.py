"""Fifty bare-metal machines at once, and all of them given back, against a bare script.

| | target |
|---|---|
| from the first POST until all are active, ours / script | ≤ 1.25 |
| from the first DELETE until all are gone, ours / script | ≤ 1.25 |

The nodes are Ironic's fake hardware, and a double behind them holds the session of each machine's
system (`devcloud.stand_ins.fake_machines`); Ironic, Ceph and tgt are real, and the same for both.
The script makes `bare_machine`'s calls in as many threads as Colobus' workers work on one metal
and one store at once. For both a machine is active when Ironic says so and its system is logged in
to its target: the script lists nodes and targets every half second, and Colobus is asked as often
whether any machine is not there yet. It is gone when its node is available, and nothing of it is
left in Ceph or tgt.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare_machine import BareMachine
from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World
from colobus import Client, Phase
from colobus.models import CreateMachine
from tests.integration.iscsi_worker.world import World as Store
from tests.integration.iscsi_worker.world import make_world
from tests.support import devcloud
from tests.support.fake_machines import FakeMachines, fake_machines
from tests.support.installation import SERVICES, Installation
from tests.support.installation import Metal as MetalEntry

STORE, METAL = "rack", "lab"
FIFTY = 50
#: Patient: on a busy host the double may stand still for a while.
NOP = "nop_interval=5,nop_count=12"
#: The architecture that `devcloud.nodes.fakes` gives them.
ARCH = "x86_64"
#: As `metal_concurrency` and `store_concurrency` are where nobody says otherwise.
PARALLEL = 16
POLL_SECONDS = 0.5
WITHIN = 600.0
IMAGE_BYTES = 1 << 26
_MAKING = (Phase.REQUESTED, Phase.WAITING, Phase.PROVISIONING)
_UNMAKING = (Phase.ACTIVE, Phase.DEPROVISIONING, *_MAKING)
Seconds = tuple[float, float]
"""Until all were active, and until all were gone."""


@dataclass(frozen=True)
class Place:
    """What both are measured on."""

    store: Store
    machines: FakeMachines
    image: str

    @property
    def count(self) -> int:
        """How many at once."""
        return len(self.machines.names)


def run(world: World) -> list[Figure]:
    """Make and unmake all of them, in turn."""
    with _place(world.size(FIFTY, 3)) as place:
        (access,) = place.store.stores().values()
        entry = MetalEntry({"store": STORE}, {"cloud": "devcloud-bare-metal"})
        with world.colobus(stores={STORE: access}, metals={METAL: entry}) as colobus:
            place.store.installation = colobus.name
            colobus.start(*SERVICES, "iscsi_worker", "baremetal_worker")
            rounds = [
                (asyncio.run(_ours(place, colobus)), _script(place))
                for _ in range(max(1, world.rounds - 2))
            ]
    made = [(ours[0], script[0]) for ours, script in rounds]
    gone = [(ours[1], script[1]) for ours, script in rounds]
    note = f"{place.count} at once"
    return [
        side_by_side("POST → all active", made, "s", at_most=1.25, note=note),
        side_by_side("DELETE → all gone", gone, "s", at_most=1.25, note=note),
    ]


@contextmanager
def _place(count: int) -> Iterator[Place]:
    environment = devcloud.up("ceph", "tgt", "ironic", "rabbitmq", "postgresql")
    with (
        tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder,
        make_world(environment, Path(folder), nop=NOP) as store,
        fake_machines(store.installation, count, Path(folder)) as machines,
    ):
        yield Place(store, machines, store.make_golden(IMAGE_BYTES))


async def _ours(place: Place, colobus: Installation) -> Seconds:
    request = CreateMachine(image=place.image, flavor=place.machines.flavor)
    async with Client(colobus.url, token=colobus.tokens[TENANT]) as client:
        began = time.perf_counter()
        made = await asyncio.gather(*(client.create(request) for _ in range(place.count)))
        await _until_none(client, _MAKING)
        took = time.perf_counter() - began
        last = [(await client.get(one.id)).status for one in made]
        assert {one.phase for one in last} == {Phase.ACTIVE}, last
        began = time.perf_counter()
        await asyncio.gather(*(client.delete(one.id) for one in made))
        await _until_none(client, _UNMAKING)
        return took, time.perf_counter() - began


async def _until_none(client: Client, phases: tuple[Phase, ...]) -> None:
    """Look whether any machine is still in one of these phases, as often as the script looks."""
    async with asyncio.timeout(WITHIN):
        while True:
            async for _ in client.list("machine", phases=phases, page_size=1):
                break
            else:
                return
            await asyncio.sleep(POLL_SECONDS)


def _script(place: Place) -> Seconds:
    flavor = place.machines.flavor
    ironic = place.machines.ironic
    machines = [
        BareMachine(ironic, place.store, place.image, flavor, ARCH, number)
        for number in range(place.count)
    ]
    with ThreadPoolExecutor(PARALLEL) as pool:
        began = time.perf_counter()
        list(pool.map(BareMachine.make, machines))
        _until(lambda: _states(place) == {"active"})
        _until(lambda: _systems(place) == place.count)
        active = time.perf_counter()
        list(pool.map(BareMachine.undeploy, machines))
        _until(lambda: _states(place) == {"available"})
        list(pool.map(BareMachine.clear, machines))
        return active - began, time.perf_counter() - active


def _states(place: Place) -> set[str]:
    found = place.machines.ironic.nodes(
        resource_class=place.machines.flavor, fields=["uuid", "provision_state"]
    )
    return {node.provision_state for node in found}


def _systems(place: Place) -> int:
    """How many nodes have logged in under their names."""
    shown = place.store.tgtd.targets()
    return sum(f"alias: {name}\n" in shown for name in place.machines.names)


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not done():
        if time.monotonic() > until:
            raise TimeoutError("the script never came to its end")
        time.sleep(POLL_SECONDS)
