"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.iscsi_worker.backend import Store, Stores
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.worker.command import Command


@dataclass(frozen=True)
class Context:
    """The stores, and what provisioning needs."""

    stores: Stores
    kit: Kit

    def store(self, command: Command[Message]) -> Store:
        """The store that the command is about; nothing starts there after its ``not_after``."""
        return self.stores.store(store_of(command.message), command.deadline)


def store_of(message: Message) -> str:
    """The store that a command is about; empty where it names none."""
    return str(getattr(message, "store", None) or getattr(message, "place", ""))


#: Commands that only look: they have bounds of their own, so that neither waits for the other.
_LOOKING = {"InspectStorage": "inspect", "TakeCensus": "census"}


def backend_of(message: Message) -> str:
    """Which bound a command falls under; looking must not wait behind making, nor hold it up."""
    store, looking = store_of(message), _LOOKING.get(type(message).__name__)
    return store if looking is None else f"{store}/{looking}"
