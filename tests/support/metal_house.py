"""A Colobus with a metal: a store in the machines' network, a golden image, all services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from colobus.golden_images import GoldenImages
from devcloud.images import GoldenImage
from devcloud.provisioning import network_of
from tests.integration.iscsi_worker.world import World, make_world
from tests.support import devcloud
from tests.support.bare_metal import Metal
from tests.support.installation import SERVICES, Installation, installation
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


def offer(image: GoldenImage, world: World) -> str:
    """Import a golden image, built where the cache doesn't have it; return what it is called."""
    name = f"{world.installation}-{image.name}-{image.arch.replace('_', '-')}"
    path = image.build()
    with path.open("rb") as file:
        images = GoldenImages(world.rbd, world.pool)
        images.add(name, file, path.stat().st_size, replace=False, progress=lambda _: None)
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

    ``archs``: what the tenants file says of the metal's machines, where requests name one.
    """
    (access,) = world.stores().values()
    tenants: dict[str, object] = {"store": STORE, "cloud": "devcloud"}
    entry = MetalEntry(
        {**tenants, "archs": list(archs)} if archs else tenants, {"cloud": "devcloud-bare-metal"}
    )
    with installation(
        environment, folder, quotas, stores={STORE: access}, metals={METAL: entry}
    ) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker", "baremetal_worker")
        yield made
