"""Asking for something: create, delete, extend, update, power, each as a `RequestSubmitted`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web

from services.front_door import read_model, references
from services.front_door.answers import json_answer, resource_answer
from services.front_door.bodies import Check, read_body, read_no_body
from services.front_door.context import REQUEST_ID, FrontDoor, caller, front_door
from services.front_door.creation import requested, take_secrets
from services.front_door.faults import RequestFault, bad_field, not_found
from services.front_door.http_handlers.reading import applied, find, wait_until
from services.front_door.parameters import (
    entity_tag,
    flag,
    idempotency_key,
    only,
    prefer_wait,
    tag_matches,
)
from services.front_door.read_model import Shown
from services.front_door.request_store import RequestRow
from services.front_door.route import Handler
from services.front_door.submission import Ask
from shared.contract.identifiers import new_ulid
from shared.contract.kinds import ExtendLease, Kind, least_size_gib
from shared.contract.messages import RequestSubmitted
from shared.contract.problems import FieldError, Reason
from shared.contract.resources import TERMINAL_PHASES, Operation, OperationState, Phase, Verb
from shared.runtime import tracing
from shared.runtime.deadline import Deadline

_SETTLED = frozenset({Phase.ACTIVE, Phase.FAILED, Phase.DELETED})


def create(kind: Kind) -> Handler:
    """Return the handler of ``POST /v1/<kind>s``."""

    async def handle(request: web.Request) -> web.Response:
        only(request)
        parts, tenant = front_door(request), caller(request).tenant
        anywhere = caller(request).apps_anywhere
        body: Any = await read_body(request, kind.create, _checks(kind, anywhere, parts))
        key = parts.settings.sealing_public_keys.get(kind.opener, "")
        if kind.rules is None:
            message, resource = requested(kind, tenant, body, key)
        else:
            message, resource = await asyncio.to_thread(requested, kind, tenant, body, key)
        ask = _ask(request, body)
        row = await references.accepted_before_or_found(parts, ask, message)
        if row is None:
            row = await parts.submitter.submit(ask, message, resource)
        is_new = row.resource_id == resource.id
        shown = read_model.as_requested(resource) if is_new else await _shown(request, row)
        headers = {"Location": f"/v1/{kind.plural}/{shown.id}"}
        if (wait := prefer_wait(request)) is not None and parts.waits.has_room(tenant):
            with parts.waits.take(tenant):
                deadline = Deadline.after(wait.total_seconds())
                shown = await wait_until(parts, tenant, shown, _is_settled, deadline)
            headers |= applied(wait)
        return resource_answer(shown, status=202, headers=headers)

    return handle


def _checks(kind: Kind, anywhere: bool, parts: FrontDoor | None = None) -> Check:
    """What types can't tell: where callbacks go to, and what the kind itself looks at."""

    async def check(body: dict[str, Any]) -> Sequence[FieldError]:
        found: list[FieldError] = []
        if parts is not None:
            found += await parts.callback_urls.faults(body.get("callback_url"), "/callback_url")
        if kind.rules is not None:
            found += await asyncio.to_thread(kind.rules.faults, body, anywhere=anywhere)
        return found

    return check


def delete(kind: Kind) -> Handler:
    """Return the handler of ``DELETE /v1/<kind>s/{id}``; again is fine, and changes nothing."""

    async def handle(request: web.Request) -> web.Response:
        only(request, *(("force",) if kind.takes_force else ()))
        force = flag(request, "force")
        shown = await find(request, kind)
        expected = request.headers.get("If-Match")
        if expected is not None and not tag_matches(expected, entity_tag(shown.revision)):
            raise RequestFault(412, "revision_changed", "The resource is not at that revision.")
        if shown.phase != Phase.DELETED:
            message = _message(kind, shown, Verb.DELETE, force=force)
            # Forced or not are two requests, which one key can't stand for.
            ask = _ask(request, {"force": True} if force else None)
            shown = await _shown(request, await _submit(request, ask, message))
        return resource_answer(shown, status=202)

    return handle


def extend(kind: Kind) -> Handler:
    """Return the handler of ``POST /v1/<kind>s/{id}/extend``."""

    async def handle(request: web.Request) -> web.Response:
        only(request)
        body = await read_body(request, ExtendLease)
        shown = await find(request, kind)
        message = _message(kind, shown, Verb.EXTEND, lease_ttl=body.ttl)
        row = await _submit(request, _ask(request, body), message, living=shown)
        return resource_answer(await _shown(request, row), status=202)

    return handle


def update(kind: Kind) -> Handler:
    """Return the handler of ``PATCH /v1/<kind>s/{id}``."""

    async def handle(request: web.Request) -> web.Response:
        only(request)
        body: Any = await read_body(
            request, kind.update, _checks(kind, caller(request).apps_anywhere)
        )
        if body == kind.update():
            raise bad_field("", "Name at least one field to change.")
        shown = await find(request, kind)
        ttl = body.lease.ttl if body.lease else None
        message = _message(kind, shown, Verb.UPDATE, labels=body.labels, lease_ttl=ttl)
        asked = {name: getattr(body, name) for name in kind.change.__struct_fields__}
        spec = {name: value for name, value in asked.items() if value is not None}
        if not spec:
            row = await _submit(request, _ask(request, body), message, living=shown)
            return resource_answer(await _shown(request, row), status=202)
        if kind.rules is not None:
            spec = await asyncio.to_thread(kind.rules.prepared, spec)
        keys = front_door(request).settings.sealing_public_keys
        sealed = take_secrets(kind, spec, keys.get(kind.opener, ""))
        message = msgspec.structs.replace(
            message, spec=spec | sealed, operation_id=f"op-{new_ulid()}"
        )
        change = _grow if "size_gib" in spec else _submit
        row = await change(request, _ask(request, body), message, shown)
        return await _operation_answer(request, row, spec)

    return handle


async def _grow(
    request: web.Request, ask: Ask, message: RequestSubmitted, shown: Shown
) -> RequestRow:
    """Refuse what would be smaller than what is shown, unless the same was accepted before."""
    document = msgspec.json.decode(shown.document)
    least = least_size_gib(document["spec"], document["status"].get("outputs", {}))
    if message.spec["size_gib"] < least and shown.phase not in TERMINAL_PHASES:
        before = await front_door(request).submitter.accepted_before(ask)
        if before is None:
            detail = f"A volume only grows: at least {least} is expected."
            raise bad_field("/size_gib", detail)
        return before
    return await _submit(request, ask, message, living=shown)


def change_power(kind: Kind, verb: Verb) -> Handler:
    """Return the handler of ``POST /v1/<kind>s/{id}/{reboot,stop,start}``.

    The answer shows the operation under its id, though nobody has begun with it yet.
    """

    async def handle(request: web.Request) -> web.Response:
        only(request)
        await read_no_body(request)
        shown = await find(request, kind)
        message = _message(kind, shown, verb, operation_id=f"op-{new_ulid()}")
        row = await _submit(request, _ask(request, None), message, living=shown)
        return await _operation_answer(request, row)

    return handle


async def _operation_answer(
    request: web.Request, row: RequestRow, change: Mapping[str, Any] = MappingProxyType({})
) -> web.Response:
    shown = await _shown(request, row)
    tag = {"ETag": entity_tag(shown.revision)}
    return json_answer(_with_operation(shown, row, change), status=202, headers=tag)


def _with_operation(shown: Shown, row: RequestRow, change: Mapping[str, Any]) -> bytes:
    document = msgspec.json.decode(shown.document)
    operations = document["status"].setdefault("operations", [])
    if row.operation_id not in {operation["id"] for operation in operations}:
        asked = Operation(
            id=row.operation_id or "",
            verb=Verb(row.verb),
            size_gib=change.get("size_gib"),
            node_count=change.get("node_count"),
            state=OperationState.REQUESTED,
        )
        operations.append(asked)
    return msgspec.json.encode(document)


def _message(kind: Kind, shown: Shown, verb: Verb, **more: Any) -> RequestSubmitted:
    return RequestSubmitted(verb=verb, kind=kind.name, resource_id=shown.id, **more)


async def _submit(
    request: web.Request, ask: Ask, message: RequestSubmitted, living: Shown | None = None
) -> RequestRow:
    """Hand on a verb once the broker has the create that it follows.

    With ``living``, the resource must not have ended: 409, unless the same was accepted before.
    """
    submitter = front_door(request).submitter
    if living is not None and living.phase in TERMINAL_PHASES:
        before = await submitter.accepted_before(ask)
        if before is not None:
            return before
        detail = f"The resource is {living.phase} and takes no further part."
        raise RequestFault(409, Reason.WRONG_PHASE, detail)
    assert message.resource_id is not None, "a verb names its resource"
    await submitter.settle_create(message.resource_id)
    return await submitter.submit(ask, message)


def _ask(request: web.Request, body: msgspec.Struct | dict[str, bool] | None) -> Ask:
    return Ask(
        tenant=caller(request).tenant,
        scope=f"{request.method} {request.path}",
        key=idempotency_key(request),
        body=msgspec.json.encode(body, order="sorted"),
        correlationid=request[REQUEST_ID],
        traceparent=tracing.traceparent(),
    )


async def _shown(request: web.Request, row: RequestRow) -> Shown:
    found = await read_model.find(front_door(request).database, row.tenant, row.resource_id)
    if found is None:  # asked for and deleted so long ago that it is forgotten
        raise not_found()
    return found


def _is_settled(shown: Shown) -> bool:
    return shown.phase in _SETTLED
