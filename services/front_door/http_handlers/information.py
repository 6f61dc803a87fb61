"""What there is and how much of it: quota, capacity, catalog."""

from __future__ import annotations

from aiohttp import web

from services.front_door.answers import json_answer
from services.front_door.context import front_door
from services.front_door.parameters import only
from services.front_door.queries import ask_owner
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CapacityReported,
    GetCapacity,
    GetQuota,
    GetVmCatalog,
    Message,
    QuotaReported,
    VmCatalogReported,
)


class KindOffered(Message, frozen=True, kw_only=True):
    """A kind of resource: its path, its verbs, and the fields that are sealed to ``worker``."""

    name: str
    path: str
    verbs: tuple[str, ...]
    worker: str
    secrets: tuple[str, ...]


class Catalog(VmCatalogReported, frozen=True, kw_only=True):
    """What can be asked for.

    ``sealing_public_keys`` are for those who publish requests on the bus: {worker: base64}.
    """

    kinds: tuple[KindOffered, ...]
    sealing_public_keys: dict[str, str]


async def get_quota(request: web.Request) -> web.Response:
    """``GET /v1/quota``."""
    only(request)
    return json_answer(await ask_owner(request, "scheduler", GetQuota(), QuotaReported))


async def get_capacity(request: web.Request) -> web.Response:
    """``GET /v1/capacity``."""
    only(request)
    return json_answer(await ask_owner(request, "scheduler", GetCapacity(), CapacityReported))


async def get_catalog(request: web.Request) -> web.Response:
    """``GET /v1/catalog``."""
    only(request)
    vms = await ask_owner(request, "vm_worker", GetVmCatalog(), VmCatalogReported)
    return json_answer(
        Catalog(
            clouds=vms.clouds,
            problems=vms.problems,
            kinds=_KINDS,
            sealing_public_keys=front_door(request).settings.sealing_public_keys,
        )
    )


_KINDS = tuple(
    KindOffered(
        name=kind.name,
        path=f"/v1/{kind.plural}",
        verbs=tuple(sorted(map(str, kind.verbs))),
        worker=kind.worker,
        secrets=kind.secrets,
    )
    for kind in KINDS.values()
)
