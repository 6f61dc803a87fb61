"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.worker.command import Command
from shared.worker.places import place_of


@dataclass(frozen=True)
class Context:
    """The metals, and what provisioning needs."""

    metals: Metals
    kit: Kit

    def metal(self, command: Command[Message]) -> Metal:
        """The metal that the command is about; nothing starts there after its ``not_after``."""
        return self.metals.metal(place_of(command.message), command.deadline)
