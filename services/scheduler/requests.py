"""Requests that may be acted on: who sent them, for whom, and whether they say what they must.

The front door has checked what users POST; what CI systems publish is checked here alone, by the
same types and with the same verdict (`request_faults`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.scheduler.kept_requests import json_of, kept
from services.scheduler.request_faults import (
    key_faults,
    minted_faults,
    own_faults,
    subject_faults,
)
from shared.bus import Delivery, Refusals, RejectedMessage
from shared.contract.codec import Envelope
from shared.contract.field_errors import MAX_ERRORS, field_errors
from shared.contract.http import MAX_BODY
from shared.contract.kinds import KINDS, SEALED, Kind
from shared.contract.messages import Message, RequestRefused, RequestSubmitted
from shared.contract.problems import FieldError, Problem
from shared.runtime.tenants import Tenants


def check_sender(delivery: Delivery, tenants: Tenants, front_door_user: str) -> bool:
    """A publisher is who the broker says it is; raises `RejectedMessage` for all others.

    Returns whether it is a tenant's own user, and not the front door.
    """
    tenant, user = delivery.envelope.tenant, delivery.user_id
    if user is None:
        raise _forbidden("a request must carry the broker's validated user_id")
    if user != front_door_user:
        sender = tenants.by_broker_user(user)
        if sender is None or sender.name != tenant:
            raise _forbidden(f"user {user!r} may not ask for tenant {tenant!r}")
    elif tenants.by_name(tenant) is None:
        raise _forbidden(f"unknown tenant {tenant!r}")
    return user != front_door_user


def check_request(
    delivery: Delivery,
    request: RequestSubmitted,
    *,
    own: bool,
    networks: Sequence[str] = (),
    anywhere: bool = False,
) -> Kind:
    """Return the kind that is asked for; raises `RejectedMessage` naming every field at fault.

    ``own``: a tenant's own user asks, so the message itself is looked at, not only what we
    understand of it. ``networks``: the CIDRs that callbacks may go to although not public;
    ``anywhere``: the tenant's apps may be.
    """
    if own:
        if len(delivery.body) > MAX_BODY:
            detail = f"a request may have {MAX_BODY} bytes, this one has {len(delivery.body)}"
            raise RejectedMessage(detail, reason="body_too_large", status=413)
        data = msgspec.json.decode(delivery.body).get("data")
        faults = [*key_faults(delivery, request), *own_faults(data, networks, anywhere=anywhere)]
    else:
        faults = list(minted_faults(msgspec.to_builtins(request), anywhere=anywhere))
    faults += subject_faults(delivery, request)
    if faults:
        raise RejectedMessage(
            _summary(faults),
            reason="bad_fields",
            status=422,
            errors=faults[:MAX_ERRORS],
        )
    return KINDS[request.kind]


def split_spec(kind: Kind, request: RequestSubmitted) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the spec as it may be shown, complete, and the sealed secrets, {field: sealed box}.

    The request has been checked.
    """
    shown, sealed = dict(request.spec), {}
    for secret in kind.secrets:
        if (box := shown.pop(SEALED + secret, None)) is not None:
            sealed[secret] = str(box)
    return msgspec.to_builtins(msgspec.convert(shown, kind.spec)), sealed


def _refusal(body: bytes, problem: Problem) -> Message:
    """Make the answer to what went to the dead letters; all its faults, where it is JSON."""
    if problem.errors or problem.reason != "undecodable" or len(body) > MAX_BODY:
        return RequestRefused(problem=problem)
    event = json_of(body)
    faults = [] if event is None else field_errors(event, Envelope)
    if isinstance(event, dict):
        faults += own_faults(event.get("data"))
    return RequestRefused(problem=msgspec.structs.replace(problem, errors=tuple(faults)))


#: What becomes of refused requests.
REFUSALS = Refusals(answer=_refusal, keep=kept)


def _summary(faults: list[FieldError]) -> str:
    first = "; ".join(f"{one.pointer or one.parameter}: {one.detail}" for one in faults[:10])
    return f"the request has fields that are wrong: {first}"


def _forbidden(detail: str) -> RejectedMessage:
    return RejectedMessage(detail, reason="forbidden", status=403)
