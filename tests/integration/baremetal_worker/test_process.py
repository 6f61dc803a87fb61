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

from services.admin.access import ACCESS, service_permissions
from services.admin.broker import User
from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    CommandFailed,
    InspectMachines,
    MachineInspection,
    MachineInspectionFailed,
    MachineObserved,
    Message,
)
from shared.contract.problems import Reason
from shared.worker.chap import Chap
from tests.integration.baremetal_worker.world import METAL, TENANT, Machine, Replica, World
from tests.support.broker import VirtualHost
from tests.support.bus import Broker, Recorder, bus_at, until
from tests.support.conditions import eventually_sync
from tests.support.installation import free_ports, with_login

_ROOT = Path(__file__).resolve().parents[3]
_NAME = "baremetal_worker"
_KEY = b"k" * 32


@dataclass
class Desk:
    """A scheduler's view of the process; ``log`` is what it wrote."""

    bus: Bus
    events: Recorder
    log: Path

    async def answer_to(self, subject: str, message: Message) -> Message:
        """Send a command; return what is told next."""
        before = len(self.events.deliveries)
        envelope = envelope_for(message, source="scheduler", subject=subject, tenant=TENANT)
        await self.bus.publish(outgoing.command(_NAME, envelope, message))
        await until(lambda: len(self.events.deliveries) > before)
        delivery = self.events.deliveries[before]
        assert delivery.envelope.causationid == envelope.id
        assert delivery.routing_key.startswith(f"{TENANT}.machine.")
        return delivery.message


@contextmanager
def _process(environment: dict[str, str], log: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", f"services.{_NAME}"]
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=_ROOT, env=environment, stderr=written, stdout=written)
        try:
            port = int(environment["COLOBUS_HTTP_PORT"])
            eventually_sync(lambda: _is_ready(port), what="it is ready")
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
async def _desk(
    vhost: VirtualHost, world: World, clouds_file: Path, folder: Path
) -> AsyncIterator[Desk]:
    """The process, with no more rights than `services.admin` gives it."""
    name = world.installation
    user = User(f"{_NAME}-{name}", "a-password", service_permissions(_NAME, ACCESS[_NAME]))
    async with Broker.of(vhost, user) as broker, bus_at(broker.url) as bus:
        key = folder / "chap.key"
        key.write_text(base64.b64encode(_KEY).decode())
        environment = {
            "PATH": os.environ["PATH"],
            "COLOBUS_INSTALLATION_ID": name,
            "COLOBUS_HTTP_PORT": str(free_ports(1)[0]),
            "COLOBUS_AMQP_URLS": with_login(vhost.url, user.name, user.password),
            "COLOBUS_METALS_FILE": str(world.metals_file()),
            "COLOBUS_CLOUDS_FILE": str(clouds_file),
            "COLOBUS_CHAP_KEY_FILE": str(key),
            "COLOBUS_LOG_LEVEL": "debug",
        }
        events, log = Recorder(), folder / "log"
        await bus.consume("scheduler.events", events)
        with _process(environment, log):
            yield Desk(bus, events, log)


async def test_it_does_what_it_is_told_and_keeps_its_secret(
    vhost: VirtualHost, world: World, replica: Replica, tmp_path: Path
) -> None:
    """The account's secret is in no event, and in no log of the worker's, debugging or not."""
    with world.nodes(1) as flavor:
        machine = await replica.machine(flavor)
        async with _desk(vhost, world, world.clouds_file(), tmp_path) as desk:
            told = await desk.answer_to(machine.id, machine.deploying())
            assert type(told).__name__ == "MachineDeployStarted"
            await machine.until("active")
            inspection = MachineInspection(
                resource_id=machine.id, tenant=TENANT, node_id=machine.node_id
            )
            look = InspectMachines(metal=METAL, machines=(inspection,))
            seen = await desk.answer_to("inspection", look)
            assert isinstance(seen, MachineObserved)
            assert seen.provision_state == "active"
            again = await desk.answer_to(machine.id, machine.deploying(target_iqn="iqn.x:other"))
            assert isinstance(again, CommandFailed)
        log = desk.log.read_text()
        chap = Chap(_KEY)
        for target in (machine.target, "iqn.x:other"):
            secret = str(chap.account(target, machine.initiator).secret)
            assert secret not in log
            assert not [one for one in desk.events.deliveries if secret in repr(one)]
        target = next(iter(world.ironic.volume_targets(node=machine.node_id, details=True)))
        assert (
            target.properties["auth_username"]
            == chap.account(machine.target, machine.initiator).username
        )


async def test_it_is_up_although_nothing_of_its_metal_is(
    vhost: VirtualHost, world: World, tmp_path: Path
) -> None:
    """Commands fail for now, inspections say why, and the process lives."""
    (port,) = free_ports(1)
    clouds = tmp_path / "clouds.yaml"
    keystone = world.cloud.site.ports.url("keystone")
    clouds.write_text(world.clouds_file().read_text().replace(keystone, f"http://127.0.0.1:{port}"))
    async with _desk(vhost, world, clouds, tmp_path) as desk:
        machine = Machine(Replica(world, None), "any")  # type: ignore[arg-type]
        failed = await desk.answer_to(machine.id, machine.reserving())
        assert isinstance(failed, CommandFailed)
        assert failed.retryable
        assert failed.problem.reason == Reason.BACKEND_UNAVAILABLE
        inspection = MachineInspection(resource_id=machine.id, tenant=TENANT, node_id="x")
        look = InspectMachines(metal=METAL, machines=(inspection,))
        told = await desk.answer_to("inspection", look)
        assert isinstance(told, MachineInspectionFailed)
