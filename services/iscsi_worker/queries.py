"""Questions that this worker answers for the front door."""

from __future__ import annotations

import asyncio

from services.iscsi_worker.context import Context
from services.iscsi_worker.names import GOLDEN_SNAPSHOT, golden_name
from services.iscsi_worker.provisioner.kit import GIB
from shared.bus import QueryHandlers
from shared.contract.messages import (
    AttachmentCredentialsIssued,
    GetAttachmentCredentials,
    GetStorageCatalog,
    GoldenImage,
    StorageCatalogReported,
    StoreCatalog,
)
from shared.contract.problems import Problem, Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError
from shared.runtime.secrets import seal

#: The asker waits 10 s (`Bus.query`); a store that takes longer is reported as not answering.
_PATIENCE = 8.0


async def get_storage_catalog(
    _: str, query: GetStorageCatalog, context: Context
) -> StorageCatalogReported:
    """Which golden images the stores have; they are for all tenants."""
    del query
    answers = await asyncio.gather(*(_catalog(context, name) for name in context.stores.names))
    return StorageCatalogReported(
        stores=tuple(one for one in answers if isinstance(one, StoreCatalog)),
        problems=tuple(one for one in answers if isinstance(one, Problem)),
    )


async def _catalog(context: Context, name: str) -> StoreCatalog | Problem:
    try:
        async with asyncio.timeout(_PATIENCE):
            return StoreCatalog(store=name, images=await _golden_images(context, name))
    except ColobusError as error:
        return error.problem()
    except TimeoutError:
        detail = f"Store {name} did not answer within {_PATIENCE:.0f} s."
        return Problem(title="Store timeout", detail=detail, retryable=True)


async def _golden_images(context: Context, name: str) -> tuple[GoldenImage, ...]:
    """Those that are whole: an import that is under way has not its snapshot yet."""
    rbd = context.stores.store(name, Deadline.after(_PATIENCE)).rbd
    images = await rbd.images([one for one in await rbd.names() if golden_name(one)])
    sizes = {
        golden_name(image.name) or "": snapshot.size
        for image in images.values()
        for snapshot in image.snapshots
        if snapshot.name == GOLDEN_SNAPSHOT and not snapshot.trashed
    }
    return tuple(
        GoldenImage(name=called, size_gib=-(-size // GIB)) for called, size in sorted(sizes.items())
    )


async def get_attachment_credentials(
    tenant: str, query: GetAttachmentCredentials, context: Context
) -> AttachmentCredentialsIssued:
    """What the initiator logs in with; of a target that isn't offered there is nothing to say."""
    whose = (tenant, query.attachment, query.volume)
    export = context.kit.export(*whose, query.initiator_iqn, query.machine)
    store = context.stores.store(query.store, Deadline.after(_PATIENCE))
    target = (await store.gateway.targets()).get(export.target_iqn)
    if target is None or not export.is_offered_by(target):
        detail = f"{query.attachment} is not ready: the gateway does not offer its volume."
        raise PermanentError(detail, reason=Reason.REFERENCE_NOT_READY, status=409)
    try:
        sealed = seal(query.public_key, export.account.secret.encode())
    except ValueError as error:
        raise PermanentError(str(error), reason=Reason.COMMAND_REJECTED, status=400) from error
    return AttachmentCredentialsIssued(
        target_iqn=target.iqn,
        lun=next(iter(target.luns)),
        portals=store.gateway.portals,
        initiator_iqn=export.initiator_iqn,
        chap_username=export.account.username,
        sealed_secret=sealed,
    )


QUERY_HANDLERS: QueryHandlers[Context] = {
    GetStorageCatalog: get_storage_catalog,
    GetAttachmentCredentials: get_attachment_credentials,
}
