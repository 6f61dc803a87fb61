"""The worker as it runs: a process on the real broker, under its own user's rights."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from services.admin.access import ACCESS, service_permissions
from services.admin.broker import User
from shared.bus import Bus, QueryRefused
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    AttachmentCredentialsIssued,
    AttachVolume,
    CommandFailed,
    ConfigVolumeProvisioned,
    DisksExported,
    DisksWithdrawn,
    ExportDisks,
    GetAttachmentCredentials,
    GetStorageCatalog,
    Message,
    ProvisionConfigVolume,
    ProvisionVolume,
    StorageCatalogReported,
    VolumeAttached,
    VolumeProvisioned,
    WithdrawDisks,
)
from shared.contract.problems import Reason
from shared.runtime.secrets import SealingKey, seal
from tests.integration.iscsi_worker.world import INITIATOR, STORE, TENANT, World
from tests.support.broker import VirtualHost
from tests.support.bus import Broker, Recorder, bus_at, until
from tests.support.conditions import eventually_sync
from tests.support.installation import free_ports, with_login

_ROOT = Path(__file__).resolve().parents[3]
_NAME = "iscsi_worker"
SEALING = SealingKey.generate()


@dataclass
class Desk:
    """A scheduler's and a front door's view of the process; ``log`` is what it wrote."""

    bus: Bus
    events: Recorder
    log: Path

    async def answer_to(self, resource_id: str, message: Message) -> Message:
        """Send a command; return what is told of that resource next."""
        before = len(self.events.deliveries)
        envelope = envelope_for(message, source="scheduler", subject=resource_id, tenant=TENANT)
        await self.bus.publish(outgoing.command(_NAME, envelope, message))
        await until(lambda: len(self.events.deliveries) > before)
        delivery = self.events.deliveries[before]
        assert delivery.envelope.causationid == envelope.id
        kind = resource_id.partition("-")[0]
        word = kind if KINDS[kind].worker == _NAME else "store"
        assert delivery.routing_key.startswith(f"{TENANT}.{word}.")
        return delivery.message

    async def ask(self, query: Message) -> Message:
        """Ask a question, as the front door does."""
        envelope = envelope_for(query, source="front_door", subject="x", tenant=TENANT)
        return await self.bus.query(_NAME, envelope, query)


@contextmanager
def _process(environment: dict[str, str], log: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", "services.iscsi_worker"]
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=_ROOT, env=environment, stderr=written, stdout=written)
        try:
            port = environment["COLOBUS_HTTP_PORT"]
            eventually_sync(lambda: _is_ready(int(port)), what="it is ready")
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@asynccontextmanager
async def _desk(vhost: VirtualHost, stores_file: Path, name: str) -> AsyncIterator[Desk]:
    """The process, with no more rights than `services.admin` gives it."""
    user = User(f"{_NAME}-{name}", "a-password", service_permissions(_NAME, ACCESS[_NAME]))
    folder = stores_file.parent
    async with Broker.of(vhost, user) as broker, bus_at(broker.url) as bus:
        key = folder / "chap.key"
        key.write_text(base64.b64encode(b"k" * 32).decode())
        sealing_key = folder / "sealing.key"
        SEALING.save(sealing_key)
        environment = {
            "PATH": os.environ["PATH"],
            "COLOBUS_INSTALLATION_ID": name,
            "COLOBUS_HTTP_PORT": str(free_ports(1)[0]),
            "COLOBUS_AMQP_URLS": with_login(vhost.url, user.name, user.password),
            "COLOBUS_STORES_FILE": str(stores_file),
            "COLOBUS_CHAP_KEY_FILE": str(key),
            "COLOBUS_SEALING_KEY_FILE": str(sealing_key),
            "COLOBUS_CEPH_SECONDS": "2",
            "COLOBUS_LOG_LEVEL": "debug",
        }
        events, log = Recorder(), folder / "log"
        await bus.consume("scheduler.events", events)
        with _process(environment, log):
            yield Desk(bus, events, log)


async def test_it_does_what_it_is_told_and_keeps_its_secret(
    vhost: VirtualHost, world: World
) -> None:
    """From a golden image to credentials; the secret is in no message in the clear, and no log."""
    image, key = world.make_golden(1 << 30), SealingKey.generate()
    volume, attachment = new_id("volume"), new_id("attachment")
    async with _desk(vhost, world.stores_file(), world.installation) as desk:
        made = await desk.answer_to(volume, ProvisionVolume(store=STORE, image=image))
        assert isinstance(made, VolumeProvisioned)
        order = AttachVolume(store=STORE, volume=volume, initiator_iqn=INITIATOR)
        offered = await desk.answer_to(attachment, order)
        assert isinstance(offered, VolumeAttached)
        query = GetAttachmentCredentials(
            store=STORE,
            attachment=attachment,
            volume=volume,
            initiator_iqn=INITIATOR,
            public_key=key.public_key,
        )
        issued = await desk.ask(query)
        assert isinstance(issued, AttachmentCredentialsIssued)
        secret = key.open(issued.sealed_secret).decode()
        assert not [one for one in desk.events.deliveries if secret in repr(one)]
        assert secret not in repr(issued)
        catalog = await desk.ask(GetStorageCatalog())
        assert isinstance(catalog, StorageCatalogReported)
        assert image in {one.name for store in catalog.stores for one in store.images}
        log = desk.log
    assert secret not in log.read_text()


async def test_it_serves_machines_and_keeps_what_they_are_told(
    vhost: VirtualHost, world: World
) -> None:
    """Its events about them go under its own word; what was sealed is in no message and no log."""
    image, machine, told = world.make_golden(1 << 26), new_id("machine"), "a-secret-of-the-owner"
    order = ProvisionConfigVolume(
        store=STORE,
        hostname="web-1",
        sealed_user_data=seal(SEALING.public_key, f"#cloud-config\npassword: {told}\n".encode()),
    )
    async with _desk(vhost, world.stores_file(), world.installation) as desk:
        root = await desk.answer_to(machine, ProvisionVolume(store=STORE, image=image))
        assert isinstance(root, VolumeProvisioned)
        config = await desk.answer_to(machine, order)
        assert isinstance(config, ConfigVolumeProvisioned)
        assert told.encode() in world.content(config.rbd_image, 1 << 20)
        exported = await desk.answer_to(machine, ExportDisks(store=STORE))
        assert isinstance(exported, DisksExported)
        assert (exported.lun, exported.config_lun) == (1, 2)
        withdrawn = await desk.answer_to(machine, WithdrawDisks(store=STORE))
        assert isinstance(withdrawn, DisksWithdrawn)
        unreadable = msgspec.structs.replace(order, sealed_user_data="bm9uZQ==")
        failed = await desk.answer_to(machine, unreadable)
        assert isinstance(failed, CommandFailed)
        assert failed.problem.reason == Reason.SECRET_UNREADABLE
        assert not failed.retryable
        assert not [one for one in desk.events.deliveries if told in repr(one)]
        log = desk.log
    assert told not in log.read_text()


async def test_it_is_up_although_nothing_of_its_store_is(
    vhost: VirtualHost, tmp_path: Path
) -> None:
    """Commands fail for now, queries say what is wrong, and the process lives."""
    stores = tmp_path / "stores.yaml"
    stores.write_text(
        f"stores: {{{STORE}: {{ceph: {{conf: {tmp_path}/nowhere.conf, pool: p}},"
        f" gateway: {{type: tgt, socket: {tmp_path}/nowhere, portals: ['127.0.0.1:1']}}}}}}"
    )
    async with _desk(vhost, stores, "down") as desk:
        volume, attachment = new_id("volume"), new_id("attachment")
        failed = await desk.answer_to(volume, ProvisionVolume(store=STORE, size_gib=1))
        assert isinstance(failed, CommandFailed)
        assert failed.retryable
        assert failed.problem.reason == Reason.BACKEND_UNAVAILABLE
        catalog = await desk.ask(GetStorageCatalog())
        assert isinstance(catalog, StorageCatalogReported)
        assert [one.reason for one in catalog.problems] == [Reason.BACKEND_UNAVAILABLE]
        query = GetAttachmentCredentials(
            store=STORE,
            attachment=attachment,
            volume=volume,
            initiator_iqn=INITIATOR,
            public_key=SealingKey.generate().public_key,
        )
        with pytest.raises(QueryRefused):
            await desk.ask(query)
