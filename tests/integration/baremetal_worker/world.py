"""A real Ironic with nodes of the tests' own, and the worker's rooms without a bus.

Commands go straight to the handlers: what is tested is what happens in Ironic. The way over the bus
is in ``tests/integration/worker``.
"""

from __future__ import annotations

import base64
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from colobus.nodes.enrolment import enrol
from devcloud.api import Supervisor, open_devcloud
from devcloud.keystone_client import connect_admin
from devcloud.nodes import fakes
from devcloud.tenants import BARE_METAL_CLOUD, clouds_yaml
from services.baremetal_worker.census import take_census
from services.baremetal_worker.context import Context
from services.baremetal_worker.handlers import HANDLERS
from services.baremetal_worker.marks import Owner
from services.baremetal_worker.settings import BaremetalWorkerSettings
from services.baremetal_worker.wiring import make_context
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    ChangeMachinePower,
    DeployMachine,
    Holding,
    InspectMachines,
    MachineDeployStarted,
    MachineInspection,
    MachineObserved,
    MachineUndeployed,
    Message,
    NodeInventoryTaken,
    NodeReleased,
    NodeReserved,
    ReleaseNode,
    RemoveOrphan,
    ReserveNode,
    TakeCensus,
    UndeployMachine,
)
from shared.contract.resources import Verb
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from shared.runtime.settings import Secret
from shared.worker.command import Answer, Command, Observation
from tests.support.conditions import eventually

METAL, TENANT = "lab", "bigtop"
#: Beyond this nothing of Ironic's takes.
WITHIN = 180.0
M = TypeVar("M", bound=Message)


def only(answers: list[Answer], kind: type[M]) -> M:
    """The one answer, which is of this kind."""
    (answer,) = answers
    message = answer.message if isinstance(answer, Observation) else answer
    assert isinstance(message, kind), message
    return message


@dataclass
class World:
    """``ironic`` is Ironic as its administrator uses it (openstacksdk)."""

    installation: str
    cloud: Supervisor
    ironic: Any
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @asynccontextmanager
    async def replica(self, **changes: Any) -> AsyncIterator[Replica]:
        """The rooms of one worker process, fresh; ``changes`` are to its settings."""
        context = make_context(self.settings(**changes))
        try:
            yield Replica(self, context)
        finally:
            await context.metals.close()

    def settings(self, **changes: Any) -> BaremetalWorkerSettings:
        """A worker's settings. A node that resists a second time is put aside."""
        fields: dict[str, Any] = {
            "installation_id": self.installation,
            "amqp_urls": (Secret("amqp://unused"),),
            "http_port": 0,
            "metals_file": self.metals_file(),
            "clouds_file": self.clouds_file(),
            "chap_key": Secret(base64.b64encode(b"k" * 32).decode()),
            "quarantine_seconds": 0,
        }
        return BaremetalWorkerSettings(**{**fields, **changes})

    def metals_file(self, **metal: Any) -> Path:
        """Write a metals file; ``metal`` is more of the metal's entry."""
        path = self.folder / f"metals{next(self.numbers)}.yaml"
        entry = {"cloud": BARE_METAL_CLOUD, **metal}
        path.write_text(yaml.safe_dump({"metals": {METAL: entry}}))
        return path

    def clouds_file(self) -> Path:
        """Write a clouds.yaml with the user that operates the bare metal."""
        path = self.folder / "clouds.yaml"
        path.write_text(clouds_yaml(self.cloud.site, {}))
        return path

    @contextmanager
    def nodes(self, count: int) -> Iterator[str]:
        """So many free nodes of a resource class of their own, which is what is given."""
        entries = fakes(f"{self.installation}-{next(self.numbers)}", count)
        try:
            enrol(self.ironic, entries)
            yield entries[0].entry.resource_class
        finally:
            self.forget([entry.name for entry in entries])

    def forget(self, names: list[str]) -> None:
        """Take nodes away, whatever state they are in."""
        for name in names:
            found = self.ironic.find_node(name)
            if found is not None:
                self.ironic.set_node_maintenance(found, "the test is over")
                self.ironic.delete_node(found)

    def of_class(self, resource_class: str) -> list[Any]:
        """The nodes of a class."""
        return list(self.ironic.nodes(details=True, resource_class=resource_class))

    def disks(self, node_id: str) -> tuple[int, int]:
        """How many connectors and targets a node has."""
        connectors = list(self.ironic.volume_connectors(node=node_id))
        return len(connectors), len(list(self.ironic.volume_targets(node=node_id)))

    def allocations(self, resource_class: str) -> list[Any]:
        """Of one class."""
        return list(self.ironic.allocations(resource_class=resource_class))

    def assert_clean(self, node_id: str) -> None:
        """A node is as if nothing had ever been on it."""
        node = self.ironic.get_node(node_id)
        assert (node.provision_state, node.power_state) == ("available", "power off")
        assert (node.instance_id, node.instance_info, node.extra) == (None, {}, {})
        assert not node.is_maintenance
        assert self.disks(node_id) == (0, 0)


@dataclass
class Replica:
    """One worker process, as far as Ironic can tell."""

    world: World
    context: Context

    async def do(
        self, resource_id: str, message: Message, *, attempt: int = 1, life: float = 60
    ) -> list[Answer]:
        """Handle one command, as the loop would."""
        envelope = envelope_for(
            message, source="scheduler", subject=resource_id, tenant=TENANT, attempt=attempt
        )
        command = Command(message, envelope, False, Deadline.after(life))
        return list(await HANDLERS[type(message)](command, self.context))

    async def until_done(self, resource_id: str, message: Message) -> list[Answer]:
        """Handle a command again and again, as the scheduler has it, while it fails for now."""

        async def attempt() -> list[Answer] | None:
            try:
                return await self.do(resource_id, message)
            except TemporaryError as error:
                self.last_error = error
                return None

        return await eventually(attempt, within=WITHIN, what=f"{type(message).__name__} is done")

    async def census(self) -> list[Holding]:
        """All that the metal holds of the tests' installation."""
        metal = self.context.metals.metal(METAL, Deadline.after(60))
        return await take_census(metal, self.context.kit.marks, await metal.nodes())

    async def capacity(self, flavor: str, arch: str = "") -> tuple[int, int]:
        """What the inventory that comes with a census says of a flavor: (in service, free)."""
        told = await self.do(f"baremetal_worker/{METAL}", TakeCensus(place=METAL))
        messages = [one.message for one in told if isinstance(one, Observation)]
        (inventory,) = [one for one in messages if isinstance(one, NodeInventoryTaken)]
        assert inventory.metal == METAL
        (capacity,) = [
            one for one in inventory.capacities if (one.flavor, one.arch) == (flavor, arch)
        ]
        return capacity.total, capacity.free

    async def remove(self, holding: Holding, resource_id: str) -> list[Answer]:
        """Remove an orphan."""
        order = RemoveOrphan(
            place=METAL, what=holding.what, object_id=holding.id, resource_id=resource_id
        )
        return await self.until_done("sweep", order)

    async def machine(self, flavor: str) -> Machine:
        """A machine that has its node."""
        made = Machine(self, flavor)
        await made.reserve()
        return made

    async def running(self, flavor: str) -> Machine:
        """A machine that is deployed."""
        made = await self.machine(flavor)
        await made.deploy()
        await made.until("active")
        return made


@dataclass
class Machine:
    """A machine and what the ledger would know of it."""

    replica: Replica
    flavor: str
    id: str = field(default_factory=lambda: new_id("machine"))
    node_id: str = ""
    allocation_id: str | None = None

    def on(self, replica: Replica) -> Machine:
        """The same machine, in the hands of another process."""
        return replace(self, replica=replica)

    @property
    def node(self) -> Any:
        """Its node, as Ironic shows it."""
        return self.replica.world.ironic.get_node(self.node_id)

    async def idle_node(self) -> Any:
        """Its node, when Ironic has put down its lock: that, too, is written with a time."""

        async def unlocked() -> Any:
            node = self.node
            return None if node.reservation else node

        return await eventually(unlocked, within=WITHIN, what="its node is not locked")

    @property
    def target(self) -> str:
        """The target that it boots from."""
        return f"iqn.2026-11.org.colobus:{self.id}"

    @property
    def initiator(self) -> str:
        """Its name before the target."""
        return f"iqn.2026-11.org.colobus:initiator-{self.id}"

    def reserving(self, **fields: Any) -> ReserveNode:
        """The order to reserve a node for it."""
        return ReserveNode(metal=METAL, flavor=self.flavor, **fields)

    @property
    def mark(self) -> dict[str, Any]:
        """What things of the machine's bear in Ironic."""
        marks = self.replica.context.kit.marks
        return marks.as_extra(Owner(TENANT, self.id))

    async def reserve(self, **fields: Any) -> NodeReserved:
        """Get a node."""
        made = only(await self.replica.until_done(self.id, self.reserving(**fields)), NodeReserved)
        self.node_id, self.allocation_id = made.node_id, made.allocation_id
        return made

    def deploying(self, **fields: Any) -> DeployMachine:
        """The order to deploy it."""
        known: dict[str, Any] = {
            "metal": METAL,
            "node_id": self.node_id,
            "target_iqn": self.target,
            "initiator_iqn": self.initiator,
            "lun": 1,
            "portals": ("192.0.2.1:3260", "192.0.2.2:3260"),
            "name": "build-box",
            "allocation_id": self.allocation_id,
        }
        return DeployMachine(**{**known, **fields})

    async def deploy(self, **fields: Any) -> MachineDeployStarted:
        """Start it."""
        told = await self.replica.until_done(self.id, self.deploying(**fields))
        return only(told, MachineDeployStarted)

    async def undeploy(self) -> MachineUndeployed:
        """Ask until it is done."""
        order = self.undeploying

        async def attempt() -> MachineUndeployed | None:
            (told,) = await self.replica.until_done(self.id, order)
            return told if isinstance(told, MachineUndeployed) else None

        return await eventually(attempt, within=WITHIN, what="it is undeployed")

    @property
    def undeploying(self) -> UndeployMachine:
        """The order to undeploy it."""
        return UndeployMachine(metal=METAL, node_id=self.node_id, allocation_id=self.allocation_id)

    @property
    def releasing(self) -> ReleaseNode:
        """The order to give its node back."""
        return ReleaseNode(metal=METAL, node_id=self.node_id or None)

    async def release(self) -> NodeReleased:
        """Give its node back."""
        return only(await self.replica.until_done(self.id, self.releasing), NodeReleased)

    async def power(self, verb: Verb, *, asked_at: datetime | None = None) -> list[Answer]:
        """Switch it."""
        order = ChangeMachinePower(
            metal=METAL,
            node_id=self.node_id,
            operation_id="op-1",
            verb=verb,
            asked_at=asked_at,
            allocation_id=self.allocation_id,
        )
        return await self.replica.do(self.id, order)

    async def look(self) -> MachineObserved:
        """Inspect it."""
        inspection = MachineInspection(
            resource_id=self.id,
            tenant=TENANT,
            node_id=self.node_id,
            allocation_id=self.allocation_id,
        )
        order = InspectMachines(metal=METAL, machines=(inspection,))
        return only(await self.replica.do("inspection", order), MachineObserved)

    async def until(self, provision_state: str) -> MachineObserved:
        """Inspect it until Ironic says this of it."""

        async def looks_so() -> MachineObserved | None:
            seen = await self.look()
            return seen if seen.provision_state == provision_state else None

        return await eventually(looks_so, within=WITHIN, what=f"it is {provision_state}")


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    """An installation of its own on the running Ironic."""
    cloud = open_devcloud()
    ironic = connect_admin(cloud.site, system=True).baremetal
    # An Ironic that was stopped meanwhile closes the connections that were kept. What the tests
    # ask of it may be asked twice.
    ironic.connect_retries = 2
    yield World(f"t{secrets.token_hex(3)}", cloud, ironic, folder)
