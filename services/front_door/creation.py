"""From the body of a POST to the request on the bus and the resource as it is first shown. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.contract.identifiers import new_id
from shared.contract.kinds import SEALED, Kind
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Lease, Phase, Resource, Status, Verb
from shared.runtime.secrets import seal


def requested(
    kind: Kind, tenant: str, body: Any, public_key: str
) -> tuple[RequestSubmitted, Resource]:
    """Return the message and the resource for ``body``, a ``kind.create``.

    Secret fields of the spec are sealed to ``public_key`` in the message (``sealed_<field>``) and
    left out of the resource.
    """
    fields = {name: getattr(body, name) for name in kind.spec.__struct_fields__}
    spec: dict[str, Any] = msgspec.to_builtins(kind.spec(**fields))
    if kind.rules is not None:
        spec = kind.rules.prepared(spec)
    sealed = take_secrets(kind, spec, public_key)
    now = datetime.now(UTC)
    resource = Resource(
        id=new_id(kind.name),
        kind=kind.name,
        tenant=tenant,
        spec=spec,
        status=Status(phase=Phase.REQUESTED),
        created_at=now,
        updated_at=now,
        revision=0,
        name=body.name,
        labels=body.labels,
        lease=Lease(ttl=body.lease.ttl) if body.lease else None,
        deadline=body.deadline,
    )
    message = RequestSubmitted(
        verb=Verb.CREATE,
        kind=kind.name,
        resource_id=resource.id,
        name=body.name,
        labels=body.labels,
        spec=spec | sealed,
        lease_ttl=body.lease.ttl if body.lease else None,
        deadline=body.deadline,
        callback_url=body.callback_url,
    )
    return message, resource


def take_secrets(kind: Kind, spec: dict[str, Any], public_key: str) -> dict[str, str]:
    """Take the secret fields out of ``spec``; return them sealed, {``sealed_<field>``: box}."""
    secrets = {name: spec.pop(name) for name in kind.secrets if name in spec}
    return {SEALED + name: seal(public_key, _bytes(value)) for name, value in secrets.items()}


def _bytes(secret: Any) -> bytes:
    """What is sealed: a text as it is, anything else as JSON."""
    return secret.encode() if isinstance(secret, str) else msgspec.json.encode(secret)
