"""What there is and how much of it: quota, capacity, catalog."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
import structlog
from aiohttp import web

from services.front_door.answers import json_answer
from services.front_door.context import front_door
from services.front_door.parameters import only
from services.front_door.queries import ask_owner
from shared.contract.http import Catalog, KindOffered
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    CapacityReported,
    GetCapacity,
    GetQuota,
    GetStorageCatalog,
    GetVmCatalog,
    Message,
    QuotaReported,
    StorageCatalogReported,
    VmCatalogReported,
)
from shared.runtime.errors import ColobusError

_M = TypeVar("_M", bound=Message)
_log = structlog.get_logger(__name__)


async def get_quota(request: web.Request) -> web.Response:
    """``GET /v1/quota``."""
    only(request)
    return json_answer(await ask_owner(request, "scheduler", GetQuota(), QuotaReported))


async def get_capacity(request: web.Request) -> web.Response:
    """``GET /v1/capacity``."""
    only(request)
    return json_answer(await ask_owner(request, "scheduler", GetCapacity(), CapacityReported))


async def get_catalog(request: web.Request) -> web.Response:
    """``GET /v1/catalog``: workers are asked side by side, and one that is away fails no other.

    What is wrong with it is then among the problems; only when nobody answers is it a fault.
    """
    only(request)
    parts = front_door(request)
    (vms, vms_fault), (storage, storage_fault) = await asyncio.gather(
        _offer(request, "vm_worker", GetVmCatalog(), VmCatalogReported(clouds=())),
        _storage_offer(request),
    )
    if vms_fault is not None and (storage_fault is not None or not parts.has_stores):
        raise vms_fault
    return json_answer(
        Catalog(
            clouds=vms.clouds,
            stores=storage.stores,
            problems=(*vms.problems, *storage.problems),
            kinds=_KINDS,
            sealing_public_keys=parts.settings.sealing_public_keys,
        )
    )


async def _storage_offer(
    request: web.Request,
) -> tuple[StorageCatalogReported, ColobusError | None]:
    nothing = StorageCatalogReported(stores=())
    if not front_door(request).has_stores:  # and so there need be nobody to ask
        return nothing, None
    return await _offer(request, "iscsi_worker", GetStorageCatalog(), nothing)


async def _offer(
    request: web.Request, owner: str, query: Message, nothing: _M
) -> tuple[_M, ColobusError | None]:
    """Return the owner's answer, or ``nothing`` with the problem, and the error itself."""
    try:
        return await ask_owner(request, owner, query, type(nothing)), None
    except ColobusError as error:
        _log.warning("the catalog is incomplete", owner=owner, error=str(error))
        return msgspec.structs.replace(nothing, problems=(error.problem(),)), error


_KINDS = tuple(
    KindOffered(
        name=kind.name,
        path=f"/v1/{kind.plural}",
        verbs=tuple(sorted(map(str, kind.verbs))),
        worker=kind.worker,
        secrets=kind.secrets,
        opener=kind.opener if kind.secrets else None,
    )
    for kind in KINDS.values()
)
