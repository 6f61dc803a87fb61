"""What every handler gets: made once, in wiring."""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from services.k8s_worker.app_crowd import Crowd
from services.k8s_worker.app_provisioner import AppKit
from services.k8s_worker.app_rounds import AppRounds
from services.k8s_worker.backend import Backend, Project
from services.k8s_worker.kit import Kit
from services.k8s_worker.lookout import Lookout
from shared.contract.messages import ChangeApp, DeprovisionApp, Message, ProvisionApp
from shared.runtime.secrets import SealingKey
from shared.runtime.tenants import Tenants
from shared.worker import places
from shared.worker.command import Command
from shared.worker.places import place_of


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
        return self.backend.project(place_of(command.message), command.tenant, command.deadline)


#: Into how many parts the apps of a cloud are divided, by their clusters: one that hardly answers
#: must not hold up those on others, and there is no end to clusters that come and go.
_PARTS = 16


def backend_of(message: Message) -> str:
    """Return which bound a command falls under: those of apps have some to themselves."""
    if isinstance(message, ProvisionApp | ChangeApp | DeprovisionApp):
        return f"{place_of(message)}/apps-{crc32(message.cluster.encode()) % _PARTS}"
    return places.backend_of(message)
