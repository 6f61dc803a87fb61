"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.iscsi_worker.backend import Store, Stores
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.worker.command import Command
from shared.worker.places import place_of


@dataclass(frozen=True)
class Context:
    """The stores, and what provisioning needs."""

    stores: Stores
    kit: Kit

    def store(self, command: Command[Message]) -> Store:
        """The store that the command is about; nothing starts there after its ``not_after``."""
        return self.stores.store(place_of(command.message), command.deadline)
