"""ceph-iscsi as a gateway: several hosts with LIO, which share their settings in a RADOS object.

What is there is read from those settings before anything is changed, so a repeated order changes
nothing and its errors for what it doesn't know don't matter. A client without CHAP would get in
without a secret: so it gets its account before its LUN. The API can't end a session; ``force``
takes the target off all hosts, which ends it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from services.iscsi_worker.backend import Export, Session, Target
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from services.iscsi_worker.stores_file import CephAccess, CephIscsiAccess, CephIscsiPortal
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable
from shared.worker.errors import Conflict, NotFound, Refused

#: How many calls that only look are under way at once.
_AT_ONCE = 4
_LOGGED_IN = "LOGGED_IN"
#: The account of a target that is shut: nobody knows its secret.
_SHUT = "colobus-shut"

Settings = Mapping[str, Any]


class CephIscsiGateway:
    """`backend.Gateway` on ceph-iscsi, for one command."""

    def __init__(
        self, api: CephIscsiApi, access: CephIscsiAccess, ceph: CephAccess, deadline: Deadline
    ) -> None:
        self._api = api
        self._access = access
        self._pool = ceph.pool
        self._deadline = deadline

    @property
    def portals(self) -> tuple[str, ...]:
        """One of each host."""
        return tuple(portal.address for portal in self._access.portals)

    async def targets(self, sessions_of: Collection[str] = ()) -> dict[str, Target]:
        """The settings know all but sessions, which are asked one client after the other."""
        settings = await self._settings()
        known = [iqn for iqn in sessions_of if iqn in settings["targets"]]
        places = asyncio.Semaphore(_AT_ONCE)

        async def sessions(iqn: str) -> tuple[Session, ...]:
            async with places:
                return await self._sessions(iqn, settings["targets"][iqn])

        found = dict(zip(known, await asyncio.gather(*map(sessions, known)), strict=True))
        return {
            iqn: self._target(iqn, target, found.get(iqn, ()))
            for iqn, target in settings["targets"].items()
        }

    async def prepare(self, export: Export) -> None:
        """Target, its hosts, the disks, the LUNs."""
        iqn = export.target_iqn
        settings = await self._settings()
        if iqn not in settings["targets"]:
            await self._put(f"target/{iqn}")
            settings = await self._settings()
        target = settings["targets"].get(iqn, {})
        for portal in await self._in_order(target.get("portals", {})):
            await self._add_host(iqn, portal)
        for disk in map(self._disk, export.images):
            if disk not in settings["disks"]:
                await self._put(f"disk/{disk}", mode="create", create_image="false")
            if disk not in target.get("disks", {}):
                await self._put(f"targetlun/{iqn}", disk=disk)

    async def admit(self, export: Export) -> None:
        """The account before the LUNs; others go first."""
        iqn, initiator = export.target_iqn, export.initiator_iqn
        clients = await self._clients(iqn)
        for other in set(clients) - {initiator}:
            await self._remove_client(iqn, other)
        if initiator not in clients:
            await self._put(f"client/{iqn}/{initiator}")
        if clients.get(initiator, {}).get("auth", {}).get("username") != export.account.username:
            await self._set_account(
                iqn, initiator, export.account.username, str(export.account.secret)
            )
        mapped = clients.get(initiator, {}).get("luns", {})
        for disk in map(self._disk, export.images):
            if disk not in mapped:
                await self._put(f"clientlun/{iqn}/{initiator}", disk=disk)

    async def shut(self, target_iqn: str) -> None:
        """An account that nobody knows: a client that is logged in can't be removed."""
        for initiator, client in (await self._clients(target_iqn)).items():
            if client["auth"]["username"] != _SHUT:
                await self._set_account(target_iqn, initiator, _SHUT, secrets.token_hex(8))

    async def grow(self, image: str, size: int) -> None:
        """The API grows image and LUN at once, and refuses to where the image is as large already.

        It takes whole GiB. All hosts tell those who are logged in.
        """
        disk, settings = self._disk(image), await self._settings()
        if any(disk in target["disks"] for target in settings["targets"].values()):
            with suppress(NotFound):  # it was let go of just now
                await self._put(f"disk/{disk}", mode="resize", size=f"{size >> 30}G")

    async def disconnect(self, target: Target) -> None:
        """Take the target off its hosts; with the last one go its clients and LUNs."""
        found = (await self._settings())["targets"].get(target.iqn, {})
        for gateway in found.get("portals", {}):
            await self._delete(f"gateway/{target.iqn}/{gateway}")
        for image in target.luns.values():
            await self.release(image)

    async def remove(self, target_iqn: str, usernames: Collection[str]) -> None:
        """Clients, LUNs and disks, target: accounts are part of the clients."""
        del usernames
        target = (await self._settings())["targets"].get(target_iqn)
        if target is None:
            return
        if await self._sessions(target_iqn, target):
            raise Conflict(f"Somebody is logged in to {target_iqn}.", code="active")
        for initiator in target["clients"]:
            await self._remove_client(target_iqn, initiator)
        for disk in target["disks"]:
            await self._delete(f"targetlun/{target_iqn}", disk=disk)
            await self._delete(f"disk/{disk}", preserve_image="true")
        await self._delete(f"target/{target_iqn}")

    async def release(self, image: str) -> None:
        """A disk that was defined and never mapped, or whose target went by force."""
        disk, settings = self._disk(image), await self._settings()
        mapped = any(disk in target["disks"] for target in settings["targets"].values())
        if disk in settings["disks"] and not mapped:
            await self._delete(f"disk/{disk}", preserve_image="true")

    async def _in_order(self, present: Collection[str]) -> list[CephIscsiPortal]:
        """The hosts that are missing. The one whose API answers us has to be a target's first."""
        missing = [one for one in self._access.portals if one.gateway not in present]
        if present or len(missing) < 2:
            return missing
        ours = (await self._api.get(self._deadline, "sysinfo/hostname"))["data"]
        return sorted(missing, key=lambda portal: portal.gateway != ours)

    async def _add_host(self, iqn: str, portal: CephIscsiPortal) -> None:
        address = portal.address.rpartition(":")[0].strip("[]")
        try:
            await self._put(f"gateway/{iqn}/{portal.gateway}", ip_address=address)
        except Refused as error:  # the host is down, or not set up like the others
            raise BackendUnavailable(error.detail) from error

    async def _remove_client(self, iqn: str, initiator: str) -> None:
        """With its LUNs; refused while it is logged in."""
        await self._delete(f"client/{iqn}/{initiator}")

    async def _set_account(self, iqn: str, initiator: str, username: str, secret: str) -> None:
        await self._put(f"clientauth/{iqn}/{initiator}", username=username, password=secret)

    async def _sessions(self, iqn: str, target: Settings) -> tuple[Session, ...]:
        sessions = []
        for initiator in target["clients"]:
            try:
                info = await self._api.get(self._deadline, f"clientinfo/{iqn}/{initiator}")
            except NotFound:
                continue
            if _LOGGED_IN in info["state"]:  # a text, or {state: hosts}, by version
                addresses = ", ".join(info["ip_address"])
                sessions.append(Session("", initiator, addresses, info.get("alias") or ""))
        return tuple(sessions)

    async def _clients(self, iqn: str) -> dict[str, Any]:
        found = (await self._settings())["targets"].get(iqn, {})
        return dict(found.get("clients", {}))

    async def _settings(self) -> Settings:
        settings: Settings = await self._api.get(self._deadline, "config")
        return settings

    async def _put(self, path: str, **form: str) -> None:
        with suppress(Conflict):  # another worker was faster; what came of it is read back
            await self._api.put(self._deadline, path, **form)

    async def _delete(self, path: str, **form: str) -> None:
        with suppress(NotFound):
            await self._api.delete(self._deadline, path, **form)

    def _disk(self, image: str) -> str:
        return f"{self._pool}/{image}"

    def _target(self, iqn: str, target: Settings, sessions: tuple[Session, ...]) -> Target:
        clients = {name: one for name, one in target["clients"].items() if one["luns"]}
        numbers = {
            disk: lun["lun_id"] for one in clients.values() for disk, lun in one["luns"].items()
        }
        return Target(
            iqn=iqn,
            luns={
                numbers.get(disk, _number(disk, target["disks"])): disk.removeprefix(
                    f"{self._pool}/"
                )
                for disk in target["disks"]
            },
            initiators=tuple(clients),
            usernames=tuple(one["auth"]["username"] for one in clients.values()),
            sessions=sessions,
        )


def _number(disk: str, disks: Any) -> int:
    """The LUN's number for the target; older versions list disks without."""
    return int(disks[disk]["lun_id"]) if isinstance(disks, dict) else list(disks).index(disk)
