"""Questions that this worker answers for the front door."""

from __future__ import annotations

from services.k8s_worker.certificates import kubeconfig, new_access
from services.k8s_worker.context import Context
from shared.bus import QueryHandlers
from shared.contract.messages import GetKubeconfig, KubeconfigIssued
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import seal

#: The asker waits 10 s (`Bus.query`).
_PATIENCE = 8.0


async def get_kubeconfig(tenant: str, query: GetKubeconfig, context: Context) -> KubeconfigIssued:
    """A key made now, a certificate of it by Magnum, and both sealed; nothing of it is kept."""
    project = context.backend.project(query.cloud, tenant, Deadline.after(_PATIENCE))
    cluster = await project.cluster(query.cluster_id)
    if cluster is None or not context.kit.owns(cluster, query.cluster) or not cluster.api_address:
        detail = f"{query.cluster} is not ready yet: Magnum knows no API server of it."
        raise PermanentError(detail, reason=Reason.CLUSTER_NOT_READY, status=409)
    user = f"colobus:{tenant}"
    access = await new_access(project, cluster, user)
    try:
        sealed = seal(query.public_key, kubeconfig(access, query.cluster, user).encode())
    except ValueError as error:
        raise PermanentError(str(error), reason=Reason.COMMAND_REJECTED, status=400) from error
    return KubeconfigIssued(
        api_address=access.address, expires_at=access.expires_at, sealed_kubeconfig=sealed
    )


QUERY_HANDLERS: QueryHandlers[Context] = {GetKubeconfig: get_kubeconfig}
