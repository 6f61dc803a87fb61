"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.vm_worker.backend import Backend, Project
from services.vm_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.runtime.tenants import Tenants
from shared.worker.command import Command
from shared.worker.places import place_of


@dataclass(frozen=True)
class Context:
    """The clouds, whose they are, and what provisioning needs."""

    backend: Backend
    tenants: Tenants
    kit: Kit

    def project(self, command: Command[Message]) -> Project:
        """The project that the command is about; nothing starts there after its ``not_after``."""
        return self.backend.project(place_of(command.message), command.tenant, command.deadline)
