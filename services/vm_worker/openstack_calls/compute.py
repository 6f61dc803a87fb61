"""Nova, and Glance for the names of images: one method per call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.vm_worker.cloud_objects import DELETING, NewServer, PowerAction, Server, ServerAction
from services.vm_worker.remembered import Remembered, is_uuid
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.worker.errors import NotFound

#: Nova keeps showing what it may yet restore; to us it is deleted.
SOFT_DELETED = "SOFT_DELETED"


@dataclass(frozen=True)
class ComputeNames:
    """The ids of images and flavors of one project."""

    images: Remembered[str] = field(default_factory=lambda: Remembered(ttl=300))
    flavors: Remembered[dict[str, str]] = field(default_factory=lambda: Remembered(ttl=300))


@dataclass(frozen=True)
class OpenStackCompute:
    """`services.vm_worker.backend.Compute` on openstacksdk."""

    calls: Calls
    names: ComputeNames

    async def image_id(self, name_or_id: str) -> str:
        """Return the newest active image of that name, or the one of that id."""
        return await self.names.images.get(name_or_id, lambda: self._find_image(name_or_id))

    async def _find_image(self, name_or_id: str) -> str:
        images = await self.calls(
            lambda cloud: list(cloud.image.images(name=name_or_id, status="active"))
        )
        if images:
            return str(max(images, key=lambda image: (image.created_at or "", image.id)).id)
        if is_uuid(name_or_id):
            image = await self.calls.unless_gone(lambda cloud: cloud.image.get_image(name_or_id))
            if image is not None:
                return str(image.id)
        raise NotFound(f"No active image is called {name_or_id!r}.", reason=Reason.IMAGE_NOT_FOUND)

    async def flavor_id(self, name_or_id: str) -> str:
        """Return the id of the flavor with that name, or with that id."""
        flavors = await self.names.flavors.get("", self._list_flavors)
        if name_or_id not in flavors:
            raise NotFound(f"No flavor is called {name_or_id!r}.", reason=Reason.FLAVOR_NOT_FOUND)
        return flavors[name_or_id]

    async def _list_flavors(self) -> dict[str, str]:
        flavors = await self.calls(lambda cloud: list(cloud.compute.flavors(details=False)))
        return {flavor.id: flavor.id for flavor in flavors} | {
            flavor.name: flavor.id for flavor in flavors
        }

    def forget(self) -> None:
        """Look names up anew."""
        self.names.images.forget()
        self.names.flavors.forget()

    async def create_server(self, new: NewServer) -> Server:
        """POST /servers, with port, tags, metadata and config drive in the one call."""
        fields: dict[str, Any] = {
            "name": new.name,
            "image_id": new.image_id,
            "flavor_id": new.flavor_id,
            "networks": [{"port": new.port_id}],
            "tags": list(new.tags),
            "metadata": dict(new.metadata),
            "config_drive": True,
        }
        if new.user_data is not None:
            fields["user_data"] = new.user_data
        made = await self.calls(lambda cloud: cloud.compute.create_server(**fields))
        return Server(id=made.id, name=new.name, status="BUILD", tags=new.tags)

    async def servers(self, *tags: str) -> list[Server]:
        """GET /servers/detail?tags=…, all pages."""
        found = await self.calls(lambda cloud: list(cloud.compute.servers(tags=",".join(tags))))
        return [_server(one) for one in found if one.status != SOFT_DELETED]

    async def server(self, server_id: str) -> Server | None:
        """GET /servers/{id}."""
        found = await self.calls.unless_gone(lambda cloud: cloud.compute.get_server(server_id))
        return None if found is None or found.status == SOFT_DELETED else _server(found)

    async def delete_server(self, server_id: str) -> bool:
        """DELETE /servers/{id}."""

        def delete(cloud: Any) -> bool:
            cloud.compute.delete_server(server_id, ignore_missing=False)
            return True

        return await self.calls.unless_gone(delete) or False

    async def change_power(self, server_id: str, action: PowerAction) -> None:
        """POST /servers/{id}/action."""

        def change(cloud: Any) -> None:
            match action:
                case PowerAction.SOFT_REBOOT:
                    cloud.compute.reboot_server(server_id, "SOFT")
                case PowerAction.HARD_REBOOT:
                    cloud.compute.reboot_server(server_id, "HARD")
                case PowerAction.STOP:
                    cloud.compute.stop_server(server_id)
                case PowerAction.START:
                    cloud.compute.start_server(server_id)

        await self.calls(change, missing=Reason.REMOVED_EXTERNALLY)

    async def actions(self, server_id: str) -> list[ServerAction]:
        """GET /servers/{id}/os-instance-actions."""
        found = await self.calls(
            lambda cloud: list(cloud.compute.server_actions(server_id)),
            missing=Reason.REMOVED_EXTERNALLY,
        )
        return [
            ServerAction(one.action, started)
            for one in found
            if (started := parse_time(one.start_time)) is not None
        ]


def _server(found: Any) -> Server:
    fault = found.fault or {}
    return Server(
        id=found.id,
        name=found.name or "",
        status=found.status or "UNKNOWN",
        # DELETED is shown only while Nova still gives back what the server had: its place, and
        # its share of the quota (compute manager, `_delete_instance`); where its host died just
        # then, for ever, or until it is deleted once more.
        task_state=DELETING if found.status == "DELETED" else found.task_state,
        fault=fault.get("message"),
        metadata=dict(found.metadata or {}),
        tags=tuple(found.tags or ()),
        addresses=tuple(_fixed_addresses((found.addresses or {}).values())),
        created_at=found.created_at or "",
        launched_at=parse_time(found.launched_at),
    )


def _fixed_addresses(networks: Iterable[Any]) -> Iterable[str]:
    for addresses in networks:
        for one in addresses:
            if one.get("OS-EXT-IPS:type", "fixed") == "fixed":
                yield one["addr"]


def parse_time(text: str | None) -> datetime | None:
    """Read Nova's times, which are UTC whether they say so or not."""
    if not text:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
