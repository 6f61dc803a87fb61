"""A store of the tests' own on the real Ceph, and the worker's rooms without a bus.

Its gateway is a real tgtd; `tests/gateway` has another.

Commands go straight to the handlers: what is tested is what happens in Ceph and on the gateway. The
way over the bus is in ``tests/integration/worker``.
"""

from __future__ import annotations

import base64
import importlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from services.iscsi_worker.census import take_census
from services.iscsi_worker.context import Context
from services.iscsi_worker.handlers import HANDLERS
from services.iscsi_worker.names import golden_image
from services.iscsi_worker.queries import QUERY_HANDLERS
from services.iscsi_worker.settings import IscsiWorkerSettings
from services.iscsi_worker.stores_file import CephAccess
from services.iscsi_worker.wiring import make_context
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    AttachmentCredentialsIssued,
    AttachVolume,
    DeprovisionVolume,
    DetachVolume,
    GetAttachmentCredentials,
    Holding,
    InspectStorage,
    Message,
    ProvisionVolume,
    StorageObserved,
    StoredThing,
    TakeSnapshot,
    VolumeAttached,
    VolumeProvisioned,
)
from shared.runtime.deadline import Deadline
from shared.runtime.secrets import SealingKey
from shared.runtime.settings import Secret
from shared.worker.command import Answer, Command, Observation
from tests.integration.iscsi_worker.initiators import Login
from tests.integration.iscsi_worker.tgtd import Tgtd, own_tgtd

STORE, TENANT, GIB = "devcloud-store", "bigtop", 1 << 30
INITIATOR = "iqn.2026-11.org.test:one"
OTHER_INITIATOR = "iqn.2026-11.org.test:two"
M = TypeVar("M", bound=Message)


def only(answers: list[Answer], kind: type[M]) -> M:
    """The one answer, which is of this kind."""
    (answer,) = answers
    message = answer.message if isinstance(answer, Observation) else answer
    assert isinstance(message, kind), message
    return message


@dataclass
class StoreWorld(ABC):
    """``pool`` is the pool as an administrator uses it: librados' I/O context."""

    installation: str
    ceph: CephAccess
    pool: Any
    folder: Path
    golden: list[str] = field(default_factory=list)
    sealing: SealingKey = field(default_factory=SealingKey.generate)
    #: Bounds of a worker's calls.
    ceph_seconds: float = 2.5
    gateway_seconds: float = 5
    #: How long a command is of use, in seconds.
    life: float = 60

    @property
    @abstractmethod
    def portal(self) -> str:
        """Where initiators log in."""

    @property
    @abstractmethod
    def gateway(self) -> dict[str, object]:
        """What a stores file says of the gateway."""

    @property
    def rbd(self) -> Any:
        """The vendor's module."""
        return importlib.import_module("rbd")

    @asynccontextmanager
    async def replica(self, **changes: Any) -> AsyncIterator[Replica]:
        """The rooms of one worker process, fresh; ``changes`` are to its settings."""
        fields: dict[str, Any] = {
            "installation_id": self.installation,
            "amqp_urls": (Secret("amqp://unused"),),
            "http_port": 0,
            "stores_file": self.stores_file(),
            "chap_key": Secret(base64.b64encode(b"k" * 32).decode()),
            "sealing_key_file": self.sealing_key_file(),
            "ceph_seconds": self.ceph_seconds,
            "gateway_seconds": self.gateway_seconds,
        }
        context = make_context(IscsiWorkerSettings(**{**fields, **changes}))
        try:
            yield Replica(self, context)
        finally:
            await context.stores.close()

    def stores(self, **gateway: str) -> dict[str, dict[str, object]]:
        """What a stores file says; ``gateway`` is more of the gateway's entry."""
        ceph = self.ceph
        store: dict[str, object] = {
            "ceph": {"conf": str(ceph.conf), "user": ceph.user, "pool": ceph.pool},
            "gateway": {**self.gateway, **gateway},
        }
        return {STORE: store}

    def stores_file(self, **gateway: str) -> Path:
        """Write the stores file."""
        path = self.folder / f"stores{len(gateway)}.yaml"
        path.write_text(yaml.safe_dump({"stores": self.stores(**gateway)}))
        return path

    def sealing_key_file(self) -> Path:
        """Write the key that opens what owners have sealed."""
        path = self.folder / "sealing.key"
        self.sealing.save(path)
        return path

    def make_golden(self, size: int, content: bytes = b"") -> str:
        """Import a golden image by hand; return what it is called."""
        name = f"{self.installation}-{len(self.golden)}"
        self.golden.append(name)
        self.rbd.RBD().create(self.pool, golden_image(name), size)
        with self.rbd.Image(self.pool, golden_image(name)) as image:
            if content:
                image.write(content, 0)
            image.create_snap("golden")
        return name

    def content(self, image: str, length: int, *, at: int = 0) -> bytes:
        """What is in an image."""
        with self.rbd.Image(self.pool, image, read_only=True) as opened:
            return bytes(opened.read(at, length))

    def write(self, image: str, content: bytes, *, at: int = 0) -> None:
        """Write into an image, without iSCSI."""
        with self.rbd.Image(self.pool, image) as opened:
            opened.write(content, at)

    def images(self) -> list[str]:
        """The installation's images."""
        prefix = f"colobus.{self.installation}."
        return [name for name in self.rbd.RBD().list(self.pool) if name.startswith(prefix)]

    def clear(self) -> None:
        """Take away what tests, or failed ones, have left: clones before what they are of."""
        self.clear_volumes()
        for name in self.golden:
            self.drop(golden_image(name))
        assert self.images() == []

    def clear_volumes(self) -> None:
        """Take away all volumes; what stays is in use."""
        for _ in range(10):
            for name in self.images():
                with suppress(self.rbd.Error):
                    self.drop(name)

    def drop(self, name: str) -> None:
        """Take an image away with its snapshots."""
        with self.rbd.Image(self.pool, name) as image:
            for snapshot in list(image.list_snaps()):
                if snapshot["namespace"] == 0:
                    image.remove_snap(snapshot["name"])
        self.rbd.RBD().remove(self.pool, name)


@dataclass
class World(StoreWorld):
    """A store whose gateway is a tgtd of the tests' own."""

    tgtd: Tgtd = field(kw_only=True)

    @property
    def portal(self) -> str:
        """Where initiators log in."""
        return self.tgtd.portal

    @property
    def gateway(self) -> dict[str, object]:
        """What a stores file says of it."""
        tgt = self.tgtd.access
        return {
            "type": "tgt",
            "socket": str(tgt.socket),
            "control_port": tgt.control_port,
            "portals": list(tgt.portals),
            "ceph_conf": str(tgt.ceph_conf),
            "ceph_user": tgt.ceph_user,
        }


@dataclass
class Replica:
    """One worker process, as far as Ceph and gateway can tell."""

    world: StoreWorld
    context: Context

    async def do(self, resource_id: str, message: Message, *, tenant: str = TENANT) -> list[Answer]:
        """Handle one command, as the loop would."""
        envelope = envelope_for(message, source="scheduler", subject=resource_id, tenant=tenant)
        command = Command(message, envelope, False, Deadline.after(self.world.life))
        return list(await HANDLERS[type(message)](command, self.context))

    def impatient(self) -> Replica:
        """The same worker; what others are making is for it what dead ones have left."""
        kit = replace(self.context.kit, making_seconds=-1)
        return Replica(self.world, replace(self.context, kit=kit))

    async def volume(self, **fields: Any) -> Volume:
        """Make a volume; blank and of 1 GiB where nothing else is said."""
        made = Volume(self)
        await made.provision(**(fields or {"size_gib": 1}))
        return made

    async def attached(self, volume: Volume, initiator: str = INITIATOR) -> Attachment:
        """Attach a volume."""
        made = Attachment(self, volume, initiator)
        await made.attach()
        return made

    async def census(self) -> list[Holding]:
        """All that the store holds of the tests' installation."""
        store = self.context.stores.store(STORE, Deadline.after(60))
        return await take_census(store, self.context.kit.names)

    async def look(
        self,
        resource_id: str,
        volume: str,
        initiator: str | None = None,
        tenant: str = TENANT,
        **fields: Any,
    ) -> StorageObserved:
        """Inspect one thing."""
        thing = StoredThing(
            resource_id=resource_id, tenant=tenant, volume=volume, initiator_iqn=initiator, **fields
        )
        message = InspectStorage(store=STORE, things=(thing,))
        return only(await self.do("inspection", message, tenant="colobus"), StorageObserved)


@dataclass
class Volume:
    """A volume and what the ledger would know of it."""

    replica: Replica
    id: str = field(default_factory=lambda: new_id("volume"))
    tenant: str = TENANT

    @property
    def image(self) -> str:
        """Its RBD image."""
        return f"colobus.{self.replica.world.installation}.{self.tenant}.{self.id}"

    async def provision(self, **fields: Any) -> VolumeProvisioned:
        """Make it."""
        message = ProvisionVolume(store=STORE, **fields)
        told = await self.replica.do(self.id, message, tenant=self.tenant)
        return only(told, VolumeProvisioned)

    async def deprovision(self) -> None:
        """Delete it."""
        await self.replica.do(self.id, DeprovisionVolume(store=STORE), tenant=self.tenant)

    async def snapshot(self) -> str:
        """Take a snapshot; return its id."""
        snapshot_id = new_id("snapshot")
        message = TakeSnapshot(store=STORE, volume=self.id)
        await self.replica.do(snapshot_id, message, tenant=self.tenant)
        return snapshot_id


@dataclass
class Attachment:
    """An attachment and what the ledger would know of it."""

    replica: Replica
    volume: Volume
    initiator: str = INITIATOR
    id: str = field(default_factory=lambda: new_id("attachment"))

    @property
    def target(self) -> str:
        """Its target's name."""
        return f"iqn.2026-11.org.colobus:{self.replica.world.installation}.{TENANT}.{self.id}"

    async def attach(self) -> VolumeAttached:
        """Offer the volume."""
        message = AttachVolume(store=STORE, volume=self.volume.id, initiator_iqn=self.initiator)
        return only(await self.replica.do(self.id, message), VolumeAttached)

    async def detach(self, *, force: bool = False) -> None:
        """Take the offer back."""
        message = DetachVolume(
            store=STORE, volume=self.volume.id, initiator_iqn=self.initiator, force=force
        )
        await self.replica.do(self.id, message)

    async def look(self) -> StorageObserved:
        """Inspect it."""
        return await self.replica.look(self.id, self.volume.id, self.initiator)

    async def credentials(self, key: SealingKey) -> AttachmentCredentialsIssued:
        """Ask for the credentials, sealed to this key."""
        query = GetAttachmentCredentials(
            store=STORE,
            attachment=self.id,
            volume=self.volume.id,
            initiator_iqn=self.initiator,
            public_key=key.public_key,
        )
        answer = await QUERY_HANDLERS[type(query)](TENANT, query, self.replica.context)
        assert isinstance(answer, AttachmentCredentialsIssued)
        return answer

    async def login(self) -> Login:
        """What the owner's initiator is told."""
        key = SealingKey.generate()
        issued = await self.credentials(key)
        secret = key.open(issued.sealed_secret).decode()
        return Login(
            portal=issued.portals[0],
            target=issued.target_iqn,
            lun=issued.lun,
            initiator=issued.initiator_iqn,
            username=issued.chap_username,
            secret=secret,
        )


@contextmanager
def open_pool(environment: dict[str, str]) -> Iterator[tuple[CephAccess, Any]]:
    """How the worker reaches the pool, and the pool itself."""
    rados = importlib.import_module("rados")
    ceph = CephAccess(
        conf=Path(environment["DEVCLOUD_CEPH_CONF"]),
        pool=environment["DEVCLOUD_CEPH_POOL"],
        user=environment["DEVCLOUD_CEPH_USER"].removeprefix("client."),
    )
    options = {"client_mount_timeout": "20", "rados_osd_op_timeout": "20"}
    options["rbd_default_clone_format"] = "2"
    with (
        rados.Rados(conffile=str(ceph.conf), rados_id=ceph.user, conf=options) as cluster,
        cluster.open_ioctx(ceph.pool) as pool,
    ):
        yield ceph, pool


@contextmanager
def make_world(environment: dict[str, str], folder: Path, **gateway: str) -> Iterator[World]:
    """A store of its own; it is taken away with all that is in it. ``gateway``: see `own_tgtd`."""
    target_user = environment["DEVCLOUD_CEPH_TGT_USER"].removeprefix("client.")
    with open_pool(environment) as (ceph, pool):
        installation = f"t{secrets.token_hex(4)}"
        with own_tgtd(ceph.conf, target_user, **gateway) as tgtd:
            world = World(installation, ceph, pool, folder, tgtd=tgtd)
            try:
                yield world
            finally:
                tgtd.kill()
                world.clear()
