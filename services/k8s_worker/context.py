"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass

from services.k8s_worker.backend import Backend, Project
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import Kit
from shared.contract.messages import Message
from shared.runtime.tenants import Tenants
from shared.worker.command import Command


@dataclass(frozen=True)
class Context:
    """The clouds, whose they are, the clusters' API servers, and what provisioning needs."""

    backend: Backend
    tenants: Tenants
    lookout: Lookout
    kit: Kit

    def project(self, command: Command[Message]) -> Project:
        """The project that the command is about; nothing starts there after its ``not_after``."""
        return self.backend.project(cloud_of(command.message), command.tenant, command.deadline)


def cloud_of(message: Message) -> str:
    """The cloud that a command is about; empty where it names none."""
    return str(getattr(message, "cloud", None) or getattr(message, "place", ""))


#: Commands that only look: they have bounds of their own, so that neither waits for the other.
_LOOKING = {"InspectClusters": "inspect", "TakeCensus": "census"}


def backend_of(message: Message) -> str:
    """Which bound a command falls under; looking must not wait behind making, nor hold it up."""
    cloud, looking = cloud_of(message), _LOOKING.get(type(message).__name__)
    return cloud if looking is None else f"{cloud}/{looking}"
