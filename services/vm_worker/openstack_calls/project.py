"""One tenant's project on one cloud, and what it offers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.vm_worker.openstack_calls.compute import OpenStackCompute
from services.vm_worker.openstack_calls.network import OpenStackNetwork
from shared.contract.messages import CloudCatalog, VmFlavor
from shared.openstack.calls import Calls


@dataclass(frozen=True)
class OpenStackProject:
    """`services.vm_worker.backend.Project` on openstacksdk."""

    cloud: str
    tenant: str
    compute: OpenStackCompute
    network: OpenStackNetwork
    calls: Calls

    async def catalog(self) -> CloudCatalog:
        """Ask Glance, Nova and Neutron side by side."""
        project_id = self.calls.project_id
        images, flavors, networks, groups = await asyncio.gather(
            self._list(lambda cloud: cloud.image.images(status="active")),
            self._list(lambda cloud: cloud.compute.flavors()),
            self._list(lambda cloud: cloud.network.networks()),
            self._list(lambda cloud: cloud.network.security_groups(project_id=project_id)),
        )
        return CloudCatalog(
            cloud=self.cloud,
            images=_names(images),
            flavors=tuple(
                VmFlavor(name=one.name, vcpus=one.vcpus, ram_mib=one.ram, disk_gib=one.disk)
                for one in sorted(flavors, key=lambda one: (one.vcpus, one.ram, one.name))
            ),
            networks=_names(
                one for one in networks if one.project_id == project_id or one.is_shared
            ),
            security_groups=_names(groups),
        )

    async def _list(self, ask: Callable[[Any], Any]) -> list[Any]:
        return await self.calls(lambda cloud: list(ask(cloud)))


def _names(found: Any) -> tuple[str, ...]:
    return tuple(sorted({one.name for one in found if one.name}))
