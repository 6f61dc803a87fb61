"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.vm_worker.backend import Backend, Project
from services.vm_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.runtime.tenants import Tenants
from shared.worker.command import Command


@dataclass(frozen=True)
class Context:
    """The clouds, whose they are, and what provisioning needs."""

    backend: Backend
    tenants: Tenants
    kit: Kit

    def project(self, command: Command[Message]) -> Project:
        """The project that the command is about; nothing starts there after its ``not_after``."""
        cloud: str = getattr(command.message, "cloud")  # noqa: B009 - every command has one
        return self.backend.project(cloud, command.tenant, command.deadline)


def backend_of(message: Message) -> str:
    """Which bound a command falls under; looking must not wait behind making."""
    cloud: str = getattr(message, "cloud", "")
    return f"{cloud}/inspect" if type(message).__name__ == "InspectVms" else cloud
