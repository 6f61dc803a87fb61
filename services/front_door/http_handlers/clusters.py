"""What opens a cluster: a kubeconfig asked of its worker each time, and kept nowhere."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.front_door.answers import secret_answer
from services.front_door.faults import RequestFault
from services.front_door.http_handlers.reading import find
from services.front_door.parameters import only
from services.front_door.queries import ask_owner, opened
from shared.contract.http import Kubeconfig
from shared.contract.kinds import KINDS
from shared.contract.messages import GetKubeconfig, KubeconfigIssued
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Resource
from shared.runtime.secrets import SealingKey

_KIND = KINDS["cluster"]


async def get_kubeconfig(request: web.Request) -> web.Response:
    """``GET /v1/clusters/{id}/kubeconfig``: sealed on the bus to a key of this request."""
    only(request)
    shown = await find(request, _KIND)
    key = SealingKey.generate()
    query = _query(msgspec.json.decode(shown.document, type=Resource), key)
    issued = await ask_owner(request, _KIND.worker, query, KubeconfigIssued, subject=shown.id)
    return secret_answer(
        Kubeconfig(
            kubeconfig=opened(_KIND.worker, key, issued.sealed_kubeconfig),
            api_address=issued.api_address,
            expires_at=issued.expires_at,
        )
    )


def _query(resource: Resource, key: SealingKey) -> GetKubeconfig:
    placement, status = resource.status.placement, resource.status
    cloud, cluster_id = placement.cloud if placement else None, status.outputs.get("cluster_id")
    if status.phase is not Phase.ACTIVE or cloud is None or cluster_id is None:
        detail = f"The cluster is {status.phase}; only an active one is opened."
        reason = Reason.CLUSTER_NOT_READY if status.phase in _ON_ITS_WAY else Reason.WRONG_PHASE
        raise RequestFault(409, reason, detail)
    return GetKubeconfig(
        cloud=cloud, cluster=resource.id, cluster_id=cluster_id, public_key=key.public_key
    )


_ON_ITS_WAY = frozenset({Phase.REQUESTED, Phase.WAITING, Phase.PROVISIONING})
