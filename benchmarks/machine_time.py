"""The time until a bare-metal machine's Linux says its first line, against a bare script.

| | target |
|---|---|
| from the POST until the first line of Linux on the console, ours / script | ≤ 1.15 |

The script (`_script`) makes the calls that nobody can do without, one after the other, with nothing
kept and nothing looked at twice: an allocation of Ironic, a clone of the golden image, a small
second disk, a target with both and one account, the node's connector and target, and the deploy.
Then Ironic and the machine's own firmware take the same time for both. The metal has no tenants'
networks, so that neither makes a port. ``active`` stands beside it without a target: it waits for
the system's own login, which the script doesn't look for.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World
from colobus import Client, Phase
from colobus.golden_images import GoldenImages
from colobus.models import CreateMachine
from colobus.nodes.node_list import arch_trait
from devcloud.images import TinyImage
from devcloud.machines import MACHINES
from devcloud.nodes import RESOURCE_CLASS
from devcloud.provisioning import network_of
from services.iscsi_worker.names import golden_image
from tests.integration.iscsi_worker.world import World as Store
from tests.integration.iscsi_worker.world import make_world
from tests.support import devcloud
from tests.support.bare_metal import IQN, Console, Metal
from tests.support.installation import SERVICES, Installation
from tests.support.installation import Metal as MetalEntry

STORE, METAL = "rack", "lab"
NOP = "nop_interval=5,nop_count=12"
FIRST_LINE = "tiny: ["
#: As large as the second disk that Colobus makes, in bytes.
SECOND_DISK = 1 << 20


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
    metal, store, name = place.metal, place.store, f"script-{secrets.token_hex(4)}"
    consoles = _consoles(place)
    target, initiator, user = f"{IQN}:{name}", f"{IQN}:initiator-{name}", f"user-{name}"
    disks = [f"{name}.root", f"{name}.config"]
    began = time.perf_counter()
    allocation = metal.ironic.create_allocation(
        name=name, resource_class=RESOURCE_CLASS, traits=[arch_trait(MACHINES[0].arch)]
    )
    rbd = store.rbd.RBD()
    rbd.clone(store.pool, golden_image(place.image), "golden", store.pool, disks[0])
    rbd.create(store.pool, disks[1], SECOND_DISK)
    store.write(disks[1], bytes(SECOND_DISK))
    password = secrets.token_hex(8)
    _export(store, target, initiator, disks, (user, password))
    node = metal.ironic.get_node(_allocated(metal, allocation.id))
    metal.ironic.create_volume_connector(node_uuid=node.id, type="iqn", connector_id=initiator)
    metal.ironic.create_volume_target(
        node_uuid=node.id,
        volume_type="iscsi",
        boot_index=0,
        volume_id=name,
        properties={
            "target_portal": store.tgtd.portal,
            "target_iqn": target,
            "target_lun": 1,
            "auth_method": "CHAP",
            "auth_username": user,
            "auth_password": password,
        },
    )
    metal.ironic.set_node_provision_state(node, "active")
    seconds = _first_line(consoles) - began
    metal.ironic.wait_for_nodes_provision_state([node.id], "active", timeout=120)
    metal.release(node.id)
    store.tgtd.order("--op", "delete", "--mode", "target", "--force", "--tid", _TID)
    store.tgtd.order("--op", "delete", "--mode", "account", "--user", user)
    for disk in disks:
        store.drop(disk)
    return seconds


def _allocated(metal: Metal, allocation_id: str) -> str:
    """Wait for Ironic's choice, of which the SDK looks every two seconds only."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = metal.ironic.get_allocation(allocation_id)
        if found.state == "active":
            return str(found.node_id)
        time.sleep(0.1)
    raise TimeoutError("no node was allocated")


#: Far beyond those that Colobus takes.
_TID = "4000"


def _export(
    store: Store, target: str, initiator: str, disks: list[str], login: tuple[str, str]
) -> None:
    order, tid = store.tgtd.order, ["--tid", _TID]
    user, password = login
    order("--op", "new", "--mode", "target", *tid, "--targetname", target)
    options = f"conf={store.tgtd.ceph_conf};id={store.tgtd.ceph_user}"
    for lun, disk in enumerate(disks, start=1):
        image = ["--lun", str(lun), "--bstype", "rbd", "--bsopts", options]
        backing = ["--backing-store", f"{store.ceph.pool}/{disk}"]
        order("--op", "new", "--mode", "logicalunit", *tid, *image, *backing)
    order("--op", "new", "--mode", "account", "--user", user, "--password", password)
    order("--op", "bind", "--mode", "account", *tid, "--user", user)
    order("--op", "bind", "--mode", "target", *tid, "--initiator-name", initiator)
