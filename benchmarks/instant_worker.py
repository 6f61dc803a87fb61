"""A vm_worker before a cloud that answers at once: a double, for `chain` and what is like it.

The process, its command loop and its handlers are the real vm_worker's; only the backend is in
memory. A server there is ACTIVE as soon as it is asked for, and says so at once, as a real cloud's
notification would. ``python -m benchmarks.instant_worker`` takes a vm_worker's settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

from services.vm_worker.backend import Compute, Networking
from services.vm_worker.cloud_objects import (
    FloatingIp,
    Network,
    NewPort,
    NewServer,
    Port,
    Router,
    Server,
)
from services.vm_worker.context import Context
from services.vm_worker.handlers import HANDLERS, provision_vm
from services.vm_worker.observer import observation_of
from services.vm_worker.provisioner.kit import WORKER
from services.vm_worker.settings import VmWorkerSettings
from services.vm_worker.wiring import make_context
from shared.contract.messages import CloudCatalog, ProvisionVm
from shared.runtime.deadline import Deadline
from shared.runtime.health import serve_health
from shared.runtime.service import Service, run
from shared.runtime.settings import load
from shared.runtime.tenants import load_tenants
from shared.worker.command import Answer, Command, Handlers, Observation
from shared.worker.serving import serve_commands

_numbers = count(1)


class InstantCompute:
    """Nova in memory, as far as making, looking and deleting go."""

    def __init__(self) -> None:
        self.by_id: dict[str, Server] = {}

    async def image_id(self, name_or_id: str) -> str:
        """Every image is there."""
        return name_or_id

    async def flavor_id(self, name_or_id: str) -> str:
        """Every flavor is there."""
        return name_or_id

    async def create_server(self, new: NewServer) -> Server:
        """The server is ACTIVE."""
        made = Server(
            f"server-{next(_numbers)}",
            new.name,
            "ACTIVE",
            metadata=new.metadata,
            tags=new.tags,
            launched_at=datetime.now(UTC),
        )
        self.by_id[made.id] = made
        return made

    async def servers(self, *tags: str) -> list[Server]:
        """Those with all these tags."""
        return [one for one in self.by_id.values() if set(tags) <= set(one.tags)]

    async def server(self, server_id: str) -> Server | None:
        """One, if it is there."""
        return self.by_id.get(server_id)

    async def delete_server(self, server_id: str) -> bool:
        """It is gone."""
        return self.by_id.pop(server_id, None) is not None


class InstantNetwork:
    """Neutron in memory, as far as ports go."""

    def __init__(self) -> None:
        self.by_id: dict[str, Port] = {}

    async def network(self, name_or_id: str) -> Network:
        """Every network is there."""
        return Network(name_or_id, name_or_id, own=True)

    async def create_port(self, new: NewPort) -> Port:
        """The port is ACTIVE."""
        number = next(_numbers)
        made = Port(
            f"port-{number}",
            new.name,
            new.network_id,
            new.mac_address or "02:00:00:00:00:01",
            "ACTIVE",
            description=new.description,
            device_id="server",
            fixed_ips=(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",),
            tags=new.tags,
        )
        self.by_id[made.id] = made
        return made

    async def ports(self, *, ids: Sequence[str] = (), name: str | None = None) -> list[Port]:
        """Those of these ids, or of this name."""
        if ids:
            return [self.by_id[one] for one in ids if one in self.by_id]
        return [one for one in self.by_id.values() if one.name == name]

    async def floating_ips(self, **_: object) -> list[FloatingIp]:
        """None."""
        return []

    async def networks(self, description: str) -> list[Network]:
        """None of the project's own."""
        del description
        return []

    async def routers(self, description: str) -> list[Router]:
        """None."""
        del description
        return []

    async def delete_port(self, port_id: str) -> bool:
        """It is gone."""
        return self.by_id.pop(port_id, None) is not None


@dataclass(frozen=True)
class InstantProject:
    """All tenants share the one cloud in memory. It is `backend.Project`, and `backend.Backend`."""

    cloud: str = "devcloud"
    tenant: str = ""
    compute: Compute = field(default_factory=lambda: cast(Compute, InstantCompute()))
    network: Networking = field(default_factory=lambda: cast(Networking, InstantNetwork()))

    async def catalog(self) -> CloudCatalog:
        """Nobody asks."""
        raise NotImplementedError

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> InstantProject:
        """Always the same."""
        del cloud, tenant, deadline
        return self


async def provision_and_tell(command: Command[ProvisionVm], context: Context) -> Sequence[Answer]:
    """Provision as the real handler does; then tell what the cloud's notification would."""
    answers = await provision_vm(command, context)
    project = context.project(command)
    server = await project.compute.server(getattr(answers[0], "server_id"))  # noqa: B009
    (port,) = await project.network.ports(ids=[command.message.port_id])
    seen = observation_of(datetime.now(UTC), server, port, notified=True)
    return [*answers, Observation(command.resource_id, command.tenant, seen)]


async def wire(service: Service) -> None:
    """Connect and consume, as the real worker."""
    settings = load(VmWorkerSettings)
    backend = cast(Any, InstantProject())
    context = make_context(settings, load_tenants(settings.tenants_file), backend)
    await serve_health(service, settings.http_host, settings.http_port)
    handlers: Handlers[Context] = {**HANDLERS, ProvisionVm: provision_and_tell}
    at_once = settings.cloud_concurrency
    await serve_commands(
        service, settings, handlers, context, name=WORKER, kind="vm", at_once=at_once
    )


if __name__ == "__main__":
    run(WORKER, wire)
