"""A machine as a store sees it: its two disks, its target, its firmware and its system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.iscsi_worker.backend import Export
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    ConfigVolumeDeprovisioned,
    ConfigVolumeProvisioned,
    DeprovisionConfigVolume,
    DeprovisionVolume,
    DisksExported,
    DisksWithdrawn,
    ExportDisks,
    Message,
    ProvisionConfigVolume,
    ProvisionVolume,
    StorageObserved,
    VolumeDeprovisioned,
    VolumeProvisioned,
    WithdrawDisks,
)
from shared.runtime.secrets import seal
from shared.worker.command import Answer
from tests.integration.iscsi_worker.initiators import Login
from tests.integration.iscsi_worker.world import STORE, TENANT, Replica, only

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzGz me@home"
#: libiscsi can tell an alias, as open-iscsi does; QEMU never asks it to.
_LOG_IN = """
import ctypes, sys
portal, target, lun, initiator, user, secret, alias = (one.encode() for one in sys.argv[1:])
lib = ctypes.CDLL("libiscsi.so.7")
lib.iscsi_create_context.restype = ctypes.c_void_p
context = ctypes.c_void_p(lib.iscsi_create_context(initiator))
lib.iscsi_set_targetname(context, target)
lib.iscsi_set_session_type(context, 2)
lib.iscsi_set_alias(context, alias)
lib.iscsi_set_initiator_username_pwd(context, user, secret)
lib.iscsi_get_error.restype = ctypes.c_char_p
if lib.iscsi_full_connect_sync(context, portal, int(lun)):
    sys.exit(lib.iscsi_get_error(context).decode())
print("logged in", flush=True)
sys.stdin.read()
"""


@dataclass
class Machine:
    """A machine and what the ledger would know of it."""

    replica: Replica
    id: str = field(default_factory=lambda: new_id("machine"))
    hostname: str = "web-1"
    user_data: str = "#cloud-config\nruncmd: [date]\n"
    tenant: str = TENANT
    image: str | None = None
    phones_home: bool = False

    @property
    def offer(self) -> Export:
        """All that follows from its name."""
        return self.replica.context.kit.disks_export(self.tenant, self.id)

    async def root(self, image: str) -> VolumeProvisioned:
        """Make its root disk."""
        self.image = image
        order = ProvisionVolume(store=STORE, image=image)
        return only(await self._do(order), VolumeProvisioned)

    async def config(self) -> ConfigVolumeProvisioned:
        """Make its second disk."""
        order = ProvisionConfigVolume(
            store=STORE,
            hostname=self.hostname,
            image=self.image,
            ssh_keys=(KEY,),
            sealed_user_data=seal(self.replica.world.sealing.public_key, self.user_data.encode()),
        )
        made = only(await self._do(order), ConfigVolumeProvisioned)
        self.phones_home = made.phones_home
        return made

    async def export(self) -> DisksExported:
        """Offer both."""
        return only(await self._do(ExportDisks(store=STORE)), DisksExported)

    async def withdraw(self) -> None:
        """Take the offer back."""
        only(await self._do(WithdrawDisks(store=STORE)), DisksWithdrawn)

    async def drop_config(self) -> None:
        """Delete its second disk."""
        order = DeprovisionConfigVolume(store=STORE)
        only(await self._do(order), ConfigVolumeDeprovisioned)

    async def drop_root(self) -> None:
        """Delete its root disk."""
        only(await self._do(DeprovisionVolume(store=STORE)), VolumeDeprovisioned)

    async def look(self) -> StorageObserved:
        """Inspect it."""
        return await self.replica.look(
            self.id, self.id, tenant=self.tenant, phones_home=self.phones_home
        )

    async def _do(self, order: Message) -> list[Answer]:
        return await self.replica.do(self.id, order, tenant=self.tenant)

    def login(self, lun: int) -> Login:
        """What the machine itself is told, for one of its disks."""
        offer, portals = self.offer, self.replica.world.portal
        return Login(
            portal=portals,
            target=offer.target_iqn,
            lun=lun,
            initiator=offer.initiator_iqn,
            username=offer.account.username,
            secret=str(offer.account.secret),
        )


async def made_machine(replica: Replica, content: bytes = b"root") -> Machine:
    """A machine with both disks, of an image of its own; nothing is offered yet."""
    machine = Machine(replica)
    await machine.root(replica.world.make_golden(1 << 26, content))
    await machine.config()
    return machine


@contextmanager
def system(login: Login, alias: str) -> Iterator[subprocess.Popen[str]]:
    """An operating system that is logged in, and tells its name."""
    what = (login.portal, login.target, str(login.lun), login.initiator)
    argv = [sys.executable, "-c", _LOG_IN, *what, login.username, login.secret, alias]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *argv],
        stdin=pipe, stdout=pipe, stderr=pipe, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "logged in\n", process.stderr.read()
            yield process
        finally:
            process.kill()
