"""What all provisioning functions need besides the store and the command."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from services.iscsi_worker.backend import Disk, Export, Store
from services.iscsi_worker.names import Names, config_serial, serial
from services.iscsi_worker.phone import Phone
from services.iscsi_worker.provisioner.golden import GoldenImages
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError
from shared.runtime.locks import KeyedLocks
from shared.runtime.secrets import SealingKey
from shared.worker.chap import Chap

WORKER = "iscsi_worker"
GIB = 1 << 30


@dataclass(frozen=True)
class Kit:
    """Made once, in wiring.

    ``phone`` is how systems phone home; None where nobody listens. An image that has been in the
    making for ``making_seconds`` is in nobody's hands any more.
    """

    names: Names
    chap: Chap
    sealing_key: SealingKey
    phone: Phone | None = None
    making_seconds: float = 60.0
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    golden: GoldenImages = field(default_factory=GoldenImages)

    def export(
        self,
        tenant: str,
        attachment: str,
        volume: str,
        initiator_iqn: str | None,
        machine: str | None = None,
    ) -> Export:
        """What is offered for an attachment; all of it follows from its parts.

        The initiator is the one of that name, or the ``machine``'s. Raises `PermanentError` where
        neither is named.
        """
        if initiator_iqn is None:
            if machine is None:
                detail = f"{attachment} names neither an initiator nor a machine."
                raise PermanentError(detail, reason=Reason.COMMAND_REJECTED)
            initiator_iqn = self.names.initiator(tenant, machine)
        disk = Disk(self.names.image(tenant, volume), serial(volume))
        return self._export(self.names.target(tenant, attachment), initiator_iqn, disk)

    def disks_export(self, tenant: str, machine: str) -> Export:
        """What is offered to a machine: its root disk, and then its second one."""
        names = self.names
        root = Disk(names.image(tenant, machine), serial(machine))
        config = Disk(names.config_image(tenant, machine), config_serial(machine))
        target_iqn, initiator_iqn = names.target(tenant, machine), names.initiator(tenant, machine)
        return self._export(target_iqn, initiator_iqn, root, config)

    def _export(self, target_iqn: str, initiator_iqn: str, *disks: Disk) -> Export:
        account = self.chap.account(target_iqn, initiator_iqn)
        return Export(target_iqn, initiator_iqn, disks, account)

    def alone(self, store: Store, name: str) -> AbstractAsyncContextManager[None]:
        """One at a time on one target or image, in this process; the others come to no harm."""
        return self.locks.hold((store.name, name))
