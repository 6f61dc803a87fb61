"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from services.k8s_worker.app_crowd import Crowd
from services.k8s_worker.app_provisioner import AppKit
from services.k8s_worker.app_rounds import AppRounds
from services.k8s_worker.backend import Backend, Project
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import Kit
from shared.contract.messages import ChangeApp, DeprovisionApp, Message, ProvisionApp
from shared.runtime.secrets import SealingKey
from shared.runtime.tenants import Tenants
from shared.worker.command import Command


@dataclass(frozen=True)
class Context:
    """The clouds, whose they are, the clusters' API servers, and what provisioning needs."""

    backend: Backend
    tenants: Tenants
    lookout: Lookout
    kit: Kit
    sealing_key: SealingKey
    rounds: AppRounds = field(default_factory=AppRounds)
    crowd: Crowd = field(default_factory=Crowd)

    @property
    def apps(self) -> AppKit:
        """What handlers of apps need of it."""
        return AppKit(
            self.kit, self.lookout, self.sealing_key, self.tenants, self.rounds, self.crowd
        )

    def project(self, command: Command[Message]) -> Project:
        """The project that the command is about; nothing starts there after its ``not_after``."""
        return self.backend.project(cloud_of(command.message), command.tenant, command.deadline)


def cloud_of(message: Message) -> str:
    """The cloud that a command is about; empty where it names none."""
    return str(getattr(message, "cloud", None) or getattr(message, "place", ""))


#: Commands that only look: they have bounds of their own, so that neither waits for the other.
_LOOKING = {"InspectClusters": "inspect", "InspectApps": "inspect-apps", "TakeCensus": "census"}
#: Into how many parts the apps of a cloud are divided, by their clusters: one that hardly answers
#: must not hold up those on others, and there is no end to clusters that come and go.
_PARTS = 16


def backend_of(message: Message) -> str:
    """Which bound a command falls under; looking must not wait behind making, nor hold it up."""
    cloud, looking = cloud_of(message), _LOOKING.get(type(message).__name__)
    if isinstance(message, ProvisionApp | ChangeApp | DeprovisionApp):
        looking = f"apps-{crc32(message.cluster.encode()) % _PARTS}"
    return cloud if looking is None else f"{cloud}/{looking}"
