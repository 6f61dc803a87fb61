"""tgt as a gateway: one tgtd with its RBD backing store, which keeps nothing over a restart.

What protects what: tgtd knows a target's name and its number (tid) only once each; the number is
derived from the name, so that an order can't hit another target that got the number meanwhile. A
target without an ACL lets nobody in, so the ACL comes last and goes first. tgtd refuses to delete
a target that somebody is logged in to (a LUN it would pull without complaint), so a target is
deleted as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import suppress

from services.iscsi_worker.backend import Disk, Export, Target
from services.iscsi_worker.stores_file import CephAccess, TgtAccess
from services.iscsi_worker.tgt_control import TgtControl
from services.iscsi_worker.tgt_output import ShownTarget, read_names, read_targets
from services.iscsi_worker.tgt_protocol import (
    SHOW_NAMES,
    SHOW_TARGETS,
    Order,
    bind_account,
    bind_initiator,
    close_connection,
    delete_account,
    delete_target,
    new_account,
    new_lun,
    new_target,
    unbind_initiator,
    update_lun,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable
from shared.worker.errors import Conflict, NotFound, Refused

#: The LUN of the first disk; tgtd's own LUN 0 is its controller.
FIRST_LUN = 1
#: tgtd's numbers are positive and of 31 bits; the low ones are left to people.
_LEAST_TID, _TIDS = 1 << 16, (1 << 31) - (1 << 16)
#: How many numbers are tried when one is taken by another name.
_TRIES = 4
#: How often is looked when targets came or went between two questions that have to agree.
_LOOKS = 3


class TgtGateway:
    """`backend.Gateway` on a tgtd, for one command.

    What it was shown last counts until it orders something itself: what others change meanwhile may
    as well come between a look and the order that follows from it.
    """

    def __init__(
        self, control: TgtControl, access: TgtAccess, ceph: CephAccess, deadline: Deadline
    ) -> None:
        self._control = control
        self._access = access
        self._deadline = deadline
        self._pool = ceph.pool
        conf = access.ceph_conf or ceph.conf
        self._options = f"conf={conf};id={access.ceph_user or ceph.user}"
        self._last: list[ShownTarget] | None = None

    @property
    def portals(self) -> tuple[str, ...]:
        """All that the stores file names."""
        return self._access.portals

    async def targets(self, sessions_of: Collection[str] = ()) -> dict[str, Target]:
        """One call for all of them, sessions included (`tgt_output`: what is believed of it)."""
        del sessions_of
        self._last = await self._shown()
        return {one.iqn: self._target(one) for one in self._last}

    async def prepare(self, export: Export) -> None:
        """Target, account, LUNs; what is wrong of an earlier attempt goes."""
        shown = await self._find(export.target_iqn)
        if shown is None:
            shown = await self._new_target(export.target_iqn)
        await self._prepare_account(shown, export)
        for number, disk in enumerate(export.disks, start=FIRST_LUN):
            await self._prepare_lun(shown, number, disk)

    async def admit(self, export: Export) -> None:
        """Bind the initiator, after all others were unbound."""
        shown = await self._must_find(export.target_iqn)
        await self._unbind(shown, set(shown.initiators) - {export.initiator_iqn})
        if export.initiator_iqn not in shown.initiators:
            with suppress(Conflict):
                await self._order(bind_initiator(shown.tid, export.initiator_iqn))

    async def shut(self, target_iqn: str) -> None:
        """Unbind all initiators."""
        shown = await self._find(target_iqn)
        if shown is not None:
            await self._unbind(shown, shown.initiators)

    async def grow(self, image: str, size: int) -> None:
        """A LUN has the size that its image had when it was opened: `targets` tells."""

    async def disconnect(self, target: Target) -> None:
        """Close the connections; a session ends with its last one."""
        shown = await self._find(target.iqn)
        if shown is None:
            return
        for session in shown.sessions:
            with suppress(NotFound):
                await self._order(close_connection(shown.tid, int(session.id)))

    async def remove(self, target_iqn: str, usernames: Collection[str]) -> None:
        """Accounts first: of a target that is gone nobody would know them."""
        shown = await self._find(target_iqn)
        if shown is not None:
            await self._unbind(shown, shown.initiators)
            if shown.sessions:
                raise Conflict("this target is still active", code="active")
        for username in {*usernames, *(shown.usernames if shown else ())}:
            with suppress(NotFound):
                await self._order(delete_account(username))
        if shown is not None:
            with suppress(NotFound):
                await self._order(delete_target(shown.tid))

    async def release(self, image: str) -> None:
        """Tgtd has images open through its targets alone."""

    async def _new_target(self, target_iqn: str) -> ShownTarget:
        for tid in tids(target_iqn):
            try:
                await self._order(new_target(tid, target_iqn))
            except Conflict:  # another worker made it, or another target has the number
                shown = await self._find(target_iqn)
                if shown is not None:
                    return shown
            else:
                return ShownTarget(tid, target_iqn)
        raise BackendUnavailable(f"tgtd does not show the target {target_iqn} that was made.")

    async def _prepare_account(self, shown: ShownTarget, export: Export) -> None:
        wanted = export.account.username
        for other in set(shown.usernames) - {wanted}:
            with suppress(NotFound):
                await self._order(delete_account(other))
        if wanted in shown.usernames:
            return
        with suppress(Conflict):
            await self._order(new_account(export.account))
        with suppress(Conflict):
            await self._order(bind_account(shown.tid, wanted))

    async def _prepare_lun(self, shown: ShownTarget, number: int, disk: Disk) -> None:
        wanted = f"{self._pool}/{disk.image}"
        if shown.luns.get(number, wanted) != wanted:
            raise Refused(f"Target {shown.iqn} offers {shown.luns[number]}.")
        if number not in shown.luns:
            await self._new_lun(shown.tid, number, wanted)
        if shown.serials.get(number) != disk.serial:
            # Ceph's objects would be shown as physical blocks of 4 MiB: 4 KiB (2^3 blocks) do.
            identity = f"scsi_sn={disk.serial},scsi_id={disk.serial},lbppbe=3"
            identity += ",vendor_id=COLOBUS,product_id=VOLUME"
            await self._order(update_lun(shown.tid, number, identity))

    async def _new_lun(self, tid: int, number: int, image: str) -> None:
        try:
            with suppress(Conflict):
                await self._order(new_lun(tid, number, image, self._options))
        except Refused as error:  # all that it says is "invalid request"
            raise BackendUnavailable(f"tgtd can't open {image}: {error.detail}") from error

    async def _unbind(self, shown: ShownTarget, initiators: Collection[str]) -> None:
        for initiator in initiators:
            with suppress(NotFound):  # somebody was faster
                await self._order(unbind_initiator(shown.tid, initiator))

    async def _shown(self) -> list[ShownTarget]:
        """One call; where a session tells of targets, tgtd's own list of names is asked too."""
        for _ in range(_LOOKS):
            text = await self._control(self._deadline, SHOW_TARGETS)
            try:
                listing = read_targets(text)
            except ValueError as error:
                raise BackendUnavailable(f"What tgtd shows is not understood: {error}.") from error
            if not listing.doubtful:
                return listing.targets
            names = await self._control(self._deadline, SHOW_NAMES)
            if listing.is_of(read_names(names)):
                return listing.targets
        raise BackendUnavailable("A session makes unclear which targets tgtd has.")

    async def _find(self, target_iqn: str) -> ShownTarget | None:
        if self._last is None:
            self._last = await self._shown()
        return next((one for one in self._last if one.iqn == target_iqn), None)

    async def _must_find(self, target_iqn: str) -> ShownTarget:
        shown = await self._find(target_iqn)
        if shown is None:
            raise NotFound(f"Target {target_iqn} is gone.")
        return shown

    async def _order(self, order: Order) -> None:
        self._last = None
        await self._control(self._deadline, order)

    def _target(self, shown: ShownTarget) -> Target:
        return Target(
            iqn=shown.iqn,
            luns={number: self._image(path) for number, path in shown.luns.items()},
            initiators=tuple(shown.initiators),
            usernames=tuple(shown.usernames),
            sessions=tuple(shown.sessions),
            sizes={
                self._image(path): shown.sizes[number]
                for number, path in shown.luns.items()
                if number in shown.sizes
            },
        )

    def _image(self, path: str) -> str:
        """The image where it is in our pool; another pool's is named in full."""
        return path.removeprefix(f"{self._pool}/")


def tids(target_iqn: str) -> list[int]:
    """The numbers that a target may have, the first one nearly always. Pure."""
    digest = hashlib.sha256(target_iqn.encode()).digest()
    chunks = [digest[start : start + 4] for start in range(0, 4 * _TRIES, 4)]
    return [_LEAST_TID + int.from_bytes(chunk, "big") % _TIDS for chunk in chunks]
