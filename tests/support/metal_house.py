"""A Colobus with a metal: a store in the machines' network, a golden image, all services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colobus.golden_images import GoldenImages
from devcloud.images import GoldenImage
from devcloud.provisioning import network_of
from tests.integration.iscsi_worker.world import World, make_world
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.installation import SERVICES, Installation, free_ports, installation
from tests.support.installation import Metal as MetalEntry
from tests.support.machines import METAL, STORE

#: Patient: on a busy host an emulated processor may stand still for long.
NOP = "nop_interval=5,nop_count=12"


@contextmanager
def metal_store(metal: Metal, folder: Path) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own in the machines' net."""
    address = network_of(metal.site).portal
    with make_world(devcloud.up("ceph"), folder, address=address, nop=NOP) as made:
        yield made


def offer(image: GoldenImage, world: World, *, phones_home: bool = False) -> str:
    """Import a golden image, built where the cache doesn't have it; return what it is called."""
    suffix = "-phoning" if phones_home else ""
    name = f"{world.installation}-{image.name}-{image.arch.replace('_', '-')}{suffix}"
    path = image.build()
    with path.open("rb") as file:
        GoldenImages(world.rbd, world.pool).add(
            name,
            file,
            path.stat().st_size,
            replace=False,
            progress=lambda _: None,
            phones_home=phones_home,
        )
    world.golden.append(name)
    return name


@contextmanager
def metal_house(
    environment: Mapping[str, str],
    world: World,
    folder: Path,
    quotas: Mapping[str, Mapping[str, int]],
    archs: Sequence[str] = (),
) -> Iterator[Installation]:
    """All services with a metal; the iscsi_worker's marks are those of `world` from now on.

    Machines reach the iscsi_worker where they reach the gateway: in their own network. ``archs``:
    what the tenants file says of the metal's machines, where requests name one.
    """
    (access,) = world.stores().values()
    tenants: dict[str, object] = {"store": STORE, "cloud": "devcloud"}
    entry = MetalEntry(
        {**tenants, "archs": list(archs)} if archs else tenants, {"cloud": "devcloud-bare-metal"}
    )
    address, (port,) = world.tgtd.portal.rpartition(":")[0], free_ports(1)
    phone = {
        "COLOBUS_PHONE_HOME_URL": f"http://{address}:{port}",
        "COLOBUS_PHONE_HOME_HOST": address,
        "COLOBUS_PHONE_HOME_PORT": str(port),
    }
    places: dict[str, Any] = {"stores": {STORE: access}, "metals": {METAL: entry}}
    with installation(environment, folder, quotas, {"iscsi_worker": phone}, **places) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker", "baremetal_worker")
        yield made
