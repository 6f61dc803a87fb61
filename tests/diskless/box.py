"""One machine with a real Debian: made by POST, used over ssh, given back at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from colobus.cli.attachment import iscsiadm
from colobus.client import Client
from colobus.models import (
    AttachmentCredentials,
    CreateAttachment,
    CreateMachine,
    CreateVolume,
    Phase,
    Resource,
)
from devcloud.provisioning import network_of
from tests.diskless.guest import ANSWERS_WITHIN, Guest, Key
from tests.support.bare_metal import Metal
from tests.support.installation import Installation
from tests.support.machines import machine_of
from tests.support.waiting import waited

LOG = logging.getLogger("diskless")


@dataclass(frozen=True)
class Box:
    """The machine as the API tells it, and its system."""

    machine: Resource
    guest: Guest

    @property
    def node(self) -> str:
        """What its operator calls it."""
        return machine_of(self.machine).name


@contextmanager
def booted(house: Installation, metal: Metal, key: Key, request: CreateMachine) -> Iterator[Box]:
    """Make a machine, wait until ssh answers, and give it back unless somebody has."""
    machine = asyncio.run(_made(house, request))
    try:
        address = network_of(metal.site).address(machine_of(machine).host)
        guest = Guest(machine.id, address, key)
        try:
            yield Box(machine, guest)
        finally:
            guest.close()
    finally:
        asyncio.run(_given_back(house, machine.id))


async def _made(house: Installation, request: CreateMachine) -> Resource:
    started = time.monotonic()
    async with _client(house) as client:
        asked = await client.create(request)
        machine = await waited(client, asked.id, timeout=ANSWERS_WITHIN)
    LOG.info("POST to active: %.1f s", time.monotonic() - started)
    return machine


async def _given_back(house: Installation, machine_id: str) -> None:
    async with _client(house) as client:
        await client.delete(machine_id)
        await waited(client, machine_id, Phase.DELETED)


def _client(house: Installation) -> Client:
    return Client(house.url, token=house.tokens["bigtop"])


async def active(client: Client, request: CreateVolume | CreateAttachment) -> Resource:
    """Ask for something and wait until it is there."""
    return await waited(client, (await client.create(request)).id)


async def gone(client: Client, *ids: str) -> None:
    """Give these back, and wait until they are no more."""
    for one in ids:
        await client.delete(one)
    for one in ids:
        await waited(client, one, Phase.DELETED)


async def log_in(guest: Guest, told: AttachmentCredentials) -> str:
    """Log in as `colobus attachment credentials` says; return the disk that has appeared."""
    *commands, _ = iscsiadm(told)
    await guest.run(" && ".join(commands))
    disk = disk_of(told)
    await guest.run(f"udevadm settle && test -b {disk}")
    return disk


async def log_out(guest: Guest, told: AttachmentCredentials) -> None:
    """Log out as `colobus attachment credentials` says; the disk is gone then."""
    *_, command = iscsiadm(told)
    await guest.run(command)
    await guest.run(f"udevadm settle && test ! -e {disk_of(told)}")


def disk_of(told: AttachmentCredentials) -> str:
    """Return udev's name of the disk."""
    return f"/dev/disk/by-path/ip-{told.portals[0]}-iscsi-{told.target_iqn}-lun-{told.lun}"
