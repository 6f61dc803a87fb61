"""What all provisioning functions need besides the store and the command."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from services.iscsi_worker.backend import Export, Store
from services.iscsi_worker.names import Names, serial
from shared.runtime.locks import KeyedLocks
from shared.worker.chap import Chap

WORKER = "iscsi_worker"
GIB = 1 << 30


@dataclass(frozen=True)
class Kit:
    """Made once, in wiring.

    An image that has been in the making for ``making_seconds`` is in nobody's hands any more.
    """

    names: Names
    chap: Chap
    making_seconds: float = 60.0
    locks: KeyedLocks = field(default_factory=KeyedLocks)

    def export(self, tenant: str, attachment: str, volume: str, initiator_iqn: str) -> Export:
        """What is offered for an attachment; all of it follows from its parts."""
        target_iqn = self.names.target(tenant, attachment)
        return Export(
            target_iqn=target_iqn,
            initiator_iqn=initiator_iqn,
            image=self.names.image(tenant, volume),
            serial=serial(volume),
            account=self.chap.account(target_iqn, initiator_iqn),
        )

    def alone(self, store: Store, name: str) -> AbstractAsyncContextManager[None]:
        """One at a time on one target or image, in this process; the others come to no harm."""
        return self.locks.hold((store.name, name))
