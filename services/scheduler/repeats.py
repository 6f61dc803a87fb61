"""Requests of tenants' own users, known by (tenant, source, id): asked again, not done again.

The row is written in the transaction that records the request's effect. It is kept, unlike the
inbox's, as long as the resource is (`retention`): a CI system may publish again whenever it has
doubts.
"""

from __future__ import annotations

import hashlib

import msgspec

from services.scheduler.ledger import Transaction
from shared.bus import RejectedMessage
from shared.contract.codec import Envelope
from shared.contract.kinds import SEALED
from shared.contract.messages import RequestSubmitted
from shared.runtime.errors import TemporaryError

_INSERT = """
INSERT INTO tenant_requests (tenant, source, id, digest, resource_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_SELECT = """
SELECT digest, resource_id FROM tenant_requests WHERE tenant = $1 AND source = $2 AND id = $3
"""


async def remember(
    tx: Transaction, envelope: Envelope, request: RequestSubmitted, resource_id: str
) -> str | None:
    """Record that the request is about ``resource_id``; returns None when it is new.

    When it isn't, returns the resource that it was about the first time. A second delivery under
    way at the same time waits here until the first is committed. Raises `RejectedMessage` when
    the same source and id stood for another request.
    """
    key = (envelope.tenant, envelope.source, envelope.id)
    asked = digest_of(request)
    if await tx.execute(_INSERT, *key, asked, resource_id) == "INSERT 0 1":
        return None
    found = await tx.fetchrow(_SELECT, *key)
    if found is None:  # forgotten in this moment, with its resource
        raise TemporaryError("the request is asked anew", reason=None)
    if found["digest"] != asked:
        raise RejectedMessage(
            f"id: {envelope.id!r} stood for another request of this source before",
            reason="request_id_reused",
            status=422,
        )
    return str(found["resource_id"])


def digest_of(request: RequestSubmitted) -> bytes:
    """Return what two requests have in common that ask for the same (SHA-256).

    Sealed boxes are left out: sealed again, the same secret is another box. So are fields that are
    at their defaults (``omit_defaults`` of all messages): a later version may have more of those.
    """
    spec = {name: value for name, value in request.spec.items() if not name.startswith(SEALED)}
    asked = msgspec.structs.replace(request, spec=spec)
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).digest()
