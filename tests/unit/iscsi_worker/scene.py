"""What is done with a store before ceph-iscsi: real, played back, or scripted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from services.iscsi_worker.backend import Export, Gateway, RbdBackend, RbdImage, Store, Target
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from services.iscsi_worker.ceph_iscsi_gateway import CephIscsiGateway
from services.iscsi_worker.names import Names
from services.iscsi_worker.provisioner.attachments import attach_volume, detach_volume
from services.iscsi_worker.provisioner.disks import export_disks, withdraw_disks
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.stores_file import CephAccess, CephIscsiAccess, CephIscsiPortal
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    AttachVolume,
    DetachVolume,
    ExportDisks,
    Message,
    WithdrawDisks,
)
from shared.runtime.deadline import Deadline
from shared.runtime.secrets import SealingKey
from shared.worker.chap import Chap
from shared.worker.command import Command
from tests.unit.iscsi_worker.ceph_iscsi import ScriptedApi

VOLUME = "volume-01jgz000000000000000000000"
ONE, OTHER = "attachment-01jgz000000000000000000001", "attachment-01jgz000000000000000000002"
MACHINE = "machine-01jgz000000000000000000003"
INITIATOR = "iqn.2026-11.org.test:one"
INSTALLATION, POOL = "recorded", "colobus"
KIT = Kit(Names(INSTALLATION), Chap(bytes(32)), SealingKey.generate())
IMAGE = KIT.names.image("bigtop", VOLUME)
DISK, TARGET = f"{POOL}/{IMAGE}", KIT.names.target("bigtop", ONE)
EXPORT = KIT.export("bigtop", ONE, VOLUME, INITIATOR)
DISKS = KIT.disks_export("bigtop", MACHINE)
CLIENT = f"{TARGET}/{INITIATOR}"


class FakeRbd:
    """The volume's image, and a machine's two."""

    async def names(self) -> list[str]:
        return [IMAGE, *DISKS.images]

    async def present(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(names)

    async def images(self, names: Collection[str]) -> dict[str, RbdImage]:
        return {one: RbdImage(one, 1 << 30) for one in await self.names() if one in names}


class Stage(ABC):
    """A store; ``api`` asks its gateway past the worker's rooms."""

    api: CephIscsiApi

    @property
    @abstractmethod
    def store(self) -> Store:
        """For one command."""

    @abstractmethod
    def logged_in(self, export: Export, alias: str = "") -> AbstractAsyncContextManager[None]:
        """Its initiator is logged in for a while."""

    @property
    def gateway(self) -> Gateway:
        """For one command."""
        return self.store.gateway

    async def seen(self, iqn: str = TARGET) -> Target:
        """A target, with who is logged in."""
        return (await self.gateway.targets([iqn]))[iqn]

    async def attach(self, id: str = ONE) -> Any:
        """Attach the volume."""
        order = AttachVolume(store="rack", volume=VOLUME, initiator_iqn=INITIATOR)
        return await attach_volume(self.store, KIT, _command(order, id))

    async def detach(self, *, force: bool = False) -> None:
        """Detach it."""
        order = DetachVolume(store="rack", volume=VOLUME, initiator_iqn=INITIATOR, force=force)
        await detach_volume(self.store, KIT, _command(order, ONE))

    async def export(self) -> Target:
        """Offer a machine's disks."""
        return await export_disks(self.store, KIT, _command(ExportDisks(store="rack"), MACHINE))

    async def withdraw(self) -> None:
        """Take them away."""
        await withdraw_disks(self.store, KIT, _command(WithdrawDisks(store="rack"), MACHINE))


def fake_store(api: CephIscsiApi, access: CephIscsiAccess) -> Store:
    """A store whose gateway is at this API, for one command."""
    ceph = CephAccess(conf=Path("/c"), pool=POOL)
    gateway = CephIscsiGateway(api, access, ceph, Deadline.after(20))
    return Store("rack", cast(RbdBackend, FakeRbd()), gateway)


@dataclass
class Scene(Stage):
    """A store whose gateway is the scripted one."""

    server: ScriptedApi
    access: CephIscsiAccess
    api: CephIscsiApi

    @property
    def store(self) -> Store:
        """For one command."""
        return fake_store(self.api, self.access)

    @asynccontextmanager
    async def logged_in(self, export: Export, alias: str = "") -> AsyncIterator[None]:
        """Its initiator is logged in for a while."""
        self.server.logged_in, self.server.aliases = {export.initiator_iqn}, {}
        self.server.aliases[export.initiator_iqn] = alias
        yield
        self.server.logged_in = set()


def _command(message: Message, id: str) -> Command[Any]:
    envelope = envelope_for(message, source="scheduler", subject=id, tenant="bigtop")
    return Command(message, envelope, False, Deadline.after(120))


def access_of(folder: Path, *urls: str) -> CephIscsiAccess:
    password = folder / "password"
    password.write_text("a-password\n")
    portals = (
        CephIscsiPortal(gateway="gw1", address="10.0.0.1:3260"),
        CephIscsiPortal(gateway="gw2", address="[fd00::2]:3260"),
    )
    return CephIscsiAccess(urls=urls, username="admin", password_file=password, portals=portals)
