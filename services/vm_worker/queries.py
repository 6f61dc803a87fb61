"""Questions that this worker answers for the front door."""

from __future__ import annotations

import asyncio

from services.vm_worker.context import Context
from shared.bus import QueryHandlers
from shared.contract.messages import CloudCatalog, GetVmCatalog, VmCatalogReported
from shared.contract.problems import Problem
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError

#: The asker waits 10 s (`Bus.query`); a cloud that takes longer is reported as not answering.
_PATIENCE = 8.0


async def get_vm_catalog(name: str, _: GetVmCatalog, context: Context) -> VmCatalogReported:
    """What the tenant can ask for, on each of its clouds."""
    tenant = context.tenants.by_name(name)
    if tenant is None:
        raise PermanentError(f"unknown tenant {name!r}", status=404)
    answers = await asyncio.gather(
        *(_catalog(context, cloud, tenant.name) for cloud in tenant.projects)
    )
    return VmCatalogReported(
        clouds=tuple(one for one in answers if isinstance(one, CloudCatalog)),
        problems=tuple(one for one in answers if isinstance(one, Problem)),
    )


async def _catalog(context: Context, cloud: str, tenant: str) -> CloudCatalog | Problem:
    try:
        async with asyncio.timeout(_PATIENCE):
            project = context.backend.project(cloud, tenant, Deadline.after(_PATIENCE))
            return await project.catalog()
    except ColobusError as error:
        return error.problem()
    except TimeoutError:
        detail = f"Cloud {cloud} did not answer within {_PATIENCE:.0f} s."
        return Problem(title="Cloud timeout", detail=detail, retryable=True)


QUERY_HANDLERS: QueryHandlers[Context] = {GetVmCatalog: get_vm_catalog}
