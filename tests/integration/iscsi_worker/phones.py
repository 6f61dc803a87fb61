"""Images whose systems phone home, what their machines are told, and who listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import pycdlib
import yaml
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from yarl import URL

from colobus.golden_images import GoldenImages
from services.iscsi_worker.phone_home import phone_home_app
from tests.integration.iscsi_worker.machines import Machine
from tests.integration.iscsi_worker.world import TENANT, Replica, World

MIB = 1 << 20
#: Where the worker says that it listens; the tests know better.
URL_OF_WORKER = "http://198.51.100.7:8088"


def phoning(world: World) -> str:
    """Import an image whose systems phone home, as an operator does; return its name."""
    name = f"{world.installation}-phones"
    images = GoldenImages(world.rbd, world.pool)
    if name not in [image.name for image in images.offered()]:
        content = BytesIO(b"root".ljust(MIB, b"\0"))
        made = images.add(
            name, content, MIB, replace=False, progress=lambda _: None, phones_home=True
        )
        assert made.phones_home
        world.golden.append(name)
    return name


@asynccontextmanager
async def door(replica: Replica) -> AsyncIterator[TestClient[Request, Application]]:
    """What systems phone, of this worker."""
    kit = replica.context.kit
    assert kit.phone is not None
    app = phone_home_app(kit.phone, kit.names, replica.context.stores)
    async with TestClient(TestServer(app)) as client:
        yield client


def number_of(world: World, machine: Machine) -> str:
    """The path that the machine's own second disk says."""
    config = yaml.safe_load(file_of(world, machine, "vendor-data"))
    url = URL(config["phone_home"]["url"])
    assert str(url.origin()) == URL_OF_WORKER
    return url.path


def file_of(world: World, machine: Machine, name: str) -> bytes:
    """What a file on the machine's second disk holds."""
    image = machine.replica.context.kit.names.config_image(TENANT, machine.id)
    iso, found = pycdlib.PyCdlib(), BytesIO()
    iso.open_fp(BytesIO(world.content(image, MIB)))
    try:
        iso.get_file_from_iso_fp(found, joliet_path=f"/{name}")
    finally:
        iso.close()
    return found.getvalue()
