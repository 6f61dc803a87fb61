"""What an attachment's initiator logs in with: asked of its worker each time, and kept nowhere."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.front_door.answers import secret_answer
from services.front_door.faults import RequestFault
from services.front_door.http_handlers.reading import find
from services.front_door.parameters import only
from services.front_door.queries import ask_owner, opened
from shared.contract.http import AttachmentCredentials
from shared.contract.kinds import KINDS, AttachmentSpec
from shared.contract.messages import AttachmentCredentialsIssued, GetAttachmentCredentials
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Resource
from shared.runtime.secrets import SealingKey

_KIND = KINDS["attachment"]


async def get_attachment_credentials(request: web.Request) -> web.Response:
    """``GET /v1/attachments/{id}/credentials``: sealed on the bus to a key of this request."""
    only(request)
    shown = await find(request, _KIND)
    key = SealingKey.generate()
    query = _query(msgspec.json.decode(shown.document, type=Resource), key)
    issued = await ask_owner(
        request, _KIND.worker, query, AttachmentCredentialsIssued, subject=shown.id
    )
    return secret_answer(
        AttachmentCredentials(
            target_iqn=issued.target_iqn,
            lun=issued.lun,
            portals=issued.portals,
            initiator_iqn=issued.initiator_iqn,
            chap_username=issued.chap_username,
            chap_secret=opened(_KIND.worker, key, issued.sealed_secret),
        )
    )


def _query(resource: Resource, key: SealingKey) -> GetAttachmentCredentials:
    placement = resource.status.placement
    store = placement.store if placement else None
    if resource.status.phase is not Phase.ACTIVE or store is None:
        detail = f"The attachment is {resource.status.phase}; only an active one is logged in to."
        raise RequestFault(409, Reason.WRONG_PHASE, detail)
    spec = msgspec.convert(resource.spec, AttachmentSpec)
    return GetAttachmentCredentials(
        store=store,
        attachment=resource.id,
        volume=spec.volume,
        initiator_iqn=spec.initiator_iqn,
        machine=spec.machine,
        public_key=key.public_key,
    )
