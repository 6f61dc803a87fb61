"""Requests that may be acted on: who sent them, for whom, and whether they say what they must.

The front door has checked what users POST; what CI systems publish is checked here alone.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.bus import Delivery, RejectedMessage
from shared.contract.identifiers import is_id
from shared.contract.kinds import KINDS, SEALED, Kind, LabelKey, LabelValue, Name, Seconds
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Verb
from shared.runtime.tenants import Tenants


class _Bounds(msgspec.Struct):
    """The bounds of what a request carries besides its spec: those of `kinds.CreateVm`."""

    operation_id: Annotated[str, Meta(min_length=1, max_length=100)] | None
    name: Name | None
    labels: Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)] | None
    lease_ttl: Seconds | None
    deadline: Annotated[int, Meta(ge=1, le=86400)] | None
    callback_url: Annotated[str, Meta(min_length=1, max_length=2048)] | None


def check_sender(delivery: Delivery, tenants: Tenants, front_door_user: str) -> None:
    """A publisher is who the broker says it is; raises `RejectedMessage` for all others."""
    tenant = delivery.envelope.tenant
    if tenants.by_name(tenant) is None:
        raise RejectedMessage(f"unknown tenant {tenant!r}")
    if delivery.user_id is None:
        raise RejectedMessage("a request must carry the broker's validated user_id")
    if delivery.user_id == front_door_user:
        return
    sender = tenants.by_broker_user(delivery.user_id)
    if sender is None or sender.name != tenant:
        raise RejectedMessage(f"user {delivery.user_id!r} may not ask for tenant {tenant!r}")


def check_request(delivery: Delivery, request: RequestSubmitted) -> Kind:
    """Return the kind that is asked for; raises `RejectedMessage` naming the field at fault."""
    kind = KINDS.get(request.kind)
    if kind is None:
        raise RejectedMessage(f"kind: {request.kind!r} is not one of {', '.join(KINDS)}")
    if not is_id(request.resource_id, request.kind):
        raise RejectedMessage(f"resource_id: {request.resource_id!r} is no id of a {request.kind}")
    if delivery.envelope.subject != request.resource_id:
        raise RejectedMessage("subject and resource_id differ")
    if request.verb not in kind.verbs | {Verb.CREATE, Verb.DELETE}:
        raise RejectedMessage(f"verb: a {request.kind} knows no {request.verb.value}")
    try:
        msgspec.convert(
            {name: getattr(request, name) for name in _Bounds.__struct_fields__}, _Bounds
        )
    except msgspec.ValidationError as error:
        raise RejectedMessage(str(error)) from error
    return kind


def split_spec(kind: Kind, request: RequestSubmitted) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the spec as it may be shown and the sealed secrets, {field: sealed box}.

    Raises `RejectedMessage` for a spec that is not the kind's, or that has a secret in the clear.
    """
    shown, sealed = dict(request.spec), {}
    for secret in kind.secrets:
        if secret in shown:
            raise RejectedMessage(f"spec.{secret}: must be sealed, as {SEALED}{secret}")
        if SEALED + secret in shown:
            sealed[secret] = str(shown.pop(SEALED + secret))
    try:
        spec = msgspec.convert(shown, kind.spec)
    except msgspec.ValidationError as error:
        raise RejectedMessage(f"spec: {error}") from error
    return msgspec.to_builtins(spec), sealed
