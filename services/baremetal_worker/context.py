"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.baremetal_worker.backend import Metal, Metals
from services.baremetal_worker.provisioner.kit import Kit
from shared.contract.messages import Message
from shared.worker.command import Command


@dataclass(frozen=True)
class Context:
    """The metals, and what provisioning needs."""

    metals: Metals
    kit: Kit

    def metal(self, command: Command[Message]) -> Metal:
        """The metal that the command is about; nothing starts there after its ``not_after``."""
        return self.metals.metal(metal_of(command.message), command.deadline)


def metal_of(message: Message) -> str:
    """The metal that a command is about; empty where it names none."""
    return str(getattr(message, "metal", None) or getattr(message, "place", ""))


#: Commands that only look: they have bounds of their own, so that neither waits for the other.
_LOOKING = {"InspectMachines": "inspect", "TakeCensus": "census"}


def backend_of(message: Message) -> str:
    """Which bound a command falls under; looking must not wait behind making, nor hold it up."""
    metal, looking = metal_of(message), _LOOKING.get(type(message).__name__)
    return metal if looking is None else f"{metal}/{looking}"
