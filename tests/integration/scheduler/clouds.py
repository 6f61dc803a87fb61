"""Clouds and their worker as the ledger sees them, in memory: what exists, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.contract.codec import Envelope
from shared.contract.messages import (
    AssociateFloatingIp,
    CensusTaken,
    ChangeVmPower,
    CommandFailed,
    DeprovisionVm,
    FloatingIpAssociated,
    FloatingIpReleased,
    Holding,
    Message,
    OrphanRemoved,
    PrepareVmPort,
    ProvisionVm,
    ReleaseFloatingIp,
    ReleaseVmPort,
    RemoveOrphan,
    VmBuildStarted,
    VmDeletionStarted,
    VmDeprovisioned,
    VmObserved,
    VmPortPrepared,
    VmPortReleased,
    VmPowerChangeStarted,
)
from shared.contract.problems import Problem, Reason

#: (cloud, what, VM)
Place = tuple[str, str, str]


@dataclass
class Clouds:
    """``things``: {(cloud, what, VM): the thing's id}: one of each at most, as the worker keeps it.

    ``statuses``: {VM: Nova's word for its server}.
    """

    things: dict[Place, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def of(self, vm: str) -> list[Place]:
        """What there is of one VM."""
        return [place for place in self.things if place[2] == vm]

    def work(self, envelope: Envelope, command: Any) -> Message:
        """Do what the command says, as the worker would, and return its answer."""
        vm = envelope.subject
        self.tenants[vm] = envelope.tenant
        match command:
            case PrepareVmPort():
                port = self._make(command.cloud, "port", vm)
                return VmPortPrepared(port_id=port, network_id="n", mac_address="02:00:00:00:00:01")
            case ProvisionVm():
                self.statuses.setdefault(vm, "BUILD")
                return VmBuildStarted(server_id=self._make(command.cloud, "server", vm))
            case AssociateFloatingIp():
                made = self._make(command.cloud, "floating_ip", vm)
                return FloatingIpAssociated(floating_ip_id=made, floating_ip_address="203.0.113.1")
            case ReleaseFloatingIp():
                self.things.pop((command.cloud, "floating_ip", vm), None)
                return FloatingIpReleased()
            case DeprovisionVm():
                return self._delete_server(command.cloud, vm)
            case ReleaseVmPort() if (command.cloud, "server", vm) in self.things:
                return failed(command, Reason.BACKEND_REFUSED, retryable=True)
            case ReleaseVmPort():
                self.things.pop((command.cloud, "port", vm), None)
                return VmPortReleased()
            case ChangeVmPower():
                self.statuses[vm] = "SHUTOFF" if command.verb.value == "stop" else "ACTIVE"
                return VmPowerChangeStarted(operation_id=command.operation_id)
            case RemoveOrphan():
                self.things.pop((command.place, command.what, vm), None)
                return OrphanRemoved(
                    place=command.place, what=command.what, object_id=command.object_id
                )
        raise AssertionError(f"no worker does {command}")

    def _make(self, cloud: str, what: str, vm: str) -> str:
        self.made += 1
        return self.things.setdefault((cloud, what, vm), f"{what}-{self.made}")

    def _delete_server(self, cloud: str, vm: str) -> Message:
        server = self.things.pop((cloud, "server", vm), None)
        self.statuses.pop(vm, None)
        return VmDeprovisioned() if server is None else VmDeletionStarted(server_id=server)

    def look(self, cloud: str, vm: str) -> VmObserved:
        """What an inspection of the VM sees now."""
        server = self.things.get((cloud, "server", vm))
        return VmObserved(
            observed_at=datetime.now(UTC),
            server_id=server,
            gone=server is None,
            server_status=None if server is None else self.statuses.get(vm, "ACTIVE"),
            port_status="ACTIVE",
        )

    def census(self, cloud: str) -> CensusTaken:
        """What a census of the cloud shows now."""
        holdings = tuple(
            Holding(what=what, id=id, place=cloud, tenant=self.tenants[vm], resource_id=vm)
            for (place, what, vm), id in self.things.items()
            if place == cloud
        )
        return CensusTaken(place=cloud, taken_at=datetime.now(UTC), holdings=holdings)


def failed(command: Any, reason: Reason, *, retryable: bool) -> CommandFailed:
    """A command's failure."""
    return CommandFailed(
        command=type(command).__name__,
        problem=Problem(title="x", detail="words", reason=reason, retryable=True),
        retryable=retryable,
        operation_id=getattr(command, "operation_id", None),
    )
