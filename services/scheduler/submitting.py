"""Requests from the front door and from CI systems: recorded, then answered where it is wanted."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.scheduler import operations, repeats, workflow
from services.scheduler.context import Context, Recording
from services.scheduler.creating import Creation
from services.scheduler.growing import Room, bad_size, size_asked, too_small
from services.scheduler.ledger import utc_now
from services.scheduler.requests import check_request, check_sender, split_spec
from services.scheduler.state import Decision, Ending, Goal, ResourceState
from services.scheduler.usage import lock_admission, usage_of
from services.scheduler.workflows import WORKFLOWS
from shared.bus import Delivery, RejectedMessage
from shared.contract.codec import Envelope
from shared.contract.identifiers import new_id, new_ulid
from shared.contract.kinds import KINDS, without_secrets
from shared.contract.messages import RequestAccepted, RequestSubmitted
from shared.contract.problems import FieldError, Reason
from shared.contract.resources import (
    POWER_VERBS,
    TERMINAL_PHASES,
    Lease,
    Phase,
    Resource,
    Status,
    Verb,
)
from shared.runtime import tracing
from shared.runtime.errors import TemporaryError
from shared.storage import first_delivery

#: A request of the front door for a resource whose creation has not been seen is given back for so
#: long, in seconds …
PATIENCE_FOR_CREATION = 600
#: … and any so often at least: a message that lay in its queue has had no time yet. Somebody who
#: waits for the answer gets it within seconds.
TRIES_FOR_CREATION = 3


async def submit_request(delivery: Delivery, request: RequestSubmitted, context: Context) -> None:
    """Record the request; its sender is told after the commit."""
    own = check_sender(delivery, context.tenants, context.settings.front_door_user)
    networks = context.settings.webhook_allowed_networks
    tenant = context.tenants.by_name(delivery.envelope.tenant)
    anywhere = tenant is not None and tenant.apps_anywhere
    check_request(delivery, request, own=own, networks=networks, anywhere=anywhere)
    created = None if own else await _create_with_others(delivery, request, context)
    if created is not None:
        state, repeated = created, False
    else:
        async with context.recording() as recording:
            if size_asked(request) is not None and request.verb is Verb.UPDATE:
                await lock_admission(recording.tx)
            take = _take_own if own else _take
            state, repeated = await take(delivery, request, context, recording)
    context.admission_wanted.set()
    accepted = RequestAccepted(resource=without_secrets(state.resource), repeated=repeated)
    await context.bus.reply(delivery, accepted, subject=state.resource.id)


async def _create_with_others(
    delivery: Delivery, request: RequestSubmitted, context: Context
) -> ResourceState | None:
    """Record what the front door asks for, if it is a creation and plainly new; else None."""
    if request.verb is not Verb.CREATE:
        return None
    decision = _begin(delivery.envelope, request, delivery.envelope.time)
    new = await context.creations.do(Creation(delivery.envelope, decision))
    return decision.state if new else None


_Taken = tuple[ResourceState, bool]


async def _take(
    delivery: Delivery, request: RequestSubmitted, context: Context, recording: Recording
) -> _Taken:
    """Take a request of the front door, which has given it its ids: not a new creation."""
    assert request.resource_id is not None, "checked"
    first = await first_delivery(recording.tx, delivery.envelope)
    state = await context.ledger.lock(recording.tx, request.resource_id)
    state = _known(state, delivery, _may_be_on_its_way(delivery))
    if not first or request.verb is Verb.CREATE:
        return state, True
    return await _change(state, request, context, recording), False


async def _take_own(
    delivery: Delivery, request: RequestSubmitted, context: Context, recording: Recording
) -> _Taken:
    """Take a request of a tenant's own user: new ids are minted here.

    The creation's time is ours: the sender's clock may be anything.
    """
    tx, envelope, kind = recording.tx, delivery.envelope, KINDS[request.kind]
    resource_id = request.resource_id or new_id(kind.name)
    before = await repeats.remember(tx, envelope, request, resource_id)
    if before is None and request.verb is Verb.CREATE:
        minted = msgspec.structs.replace(request, resource_id=resource_id)
        decision = _begin(envelope, minted, utc_now())
        recording.send(await context.ledger.insert(tx, decision))
        return decision.state, False
    patient = delivery.delays < TRIES_FOR_CREATION
    state = _known(await context.ledger.lock(tx, before or resource_id), delivery, patient)
    if before is not None:
        return state, True
    if state.phase in TERMINAL_PHASES and request.verb is not Verb.DELETE:
        detail = f"the resource is {state.phase.value} and takes no further part"
        raise RejectedMessage(detail, reason=Reason.WRONG_PHASE, status=409)
    if request.verb is Verb.UPDATE and (size := size_asked(request)) is not None:
        _check_size(state, size)
    if request.operation_id is None and request.verb in POWER_VERBS | {Verb.UPDATE}:
        request = msgspec.structs.replace(request, operation_id=f"op-{new_ulid()}")
    return await _change(state, request, context, recording), False


def _check_size(state: ResourceState, size_gib: int) -> None:
    if (words := too_small(state.resource, size_gib)) is not None:
        error = FieldError(detail=words, pointer="/data/spec/size_gib")
        raise RejectedMessage(
            bad_size(words).detail or "", reason="bad_fields", status=422, errors=[error]
        )


def _may_be_on_its_way(delivery: Delivery) -> bool:
    age = (utc_now() - delivery.envelope.time).total_seconds()
    return abs(age) < PATIENCE_FOR_CREATION or delivery.delays < TRIES_FOR_CREATION


def _known(state: ResourceState | None, delivery: Delivery, patient: bool) -> ResourceState:
    """Return the tenant's resource; another's is as unknown as one that isn't there.

    Its creation may still be on the way (queues keep no order over redeliveries).
    """
    if state is not None and state.resource.tenant == delivery.envelope.tenant:
        return state
    if patient:
        raise TemporaryError("the resource has not been created yet", reason=None)
    raise RejectedMessage("there is no such resource", reason="not_found", status=404)


def _begin(envelope: Envelope, request: RequestSubmitted, created_at: datetime) -> Decision:
    """How the resource begins that is asked for."""
    now = utc_now()
    assert request.resource_id is not None, "checked, or minted"
    spec, sealed = split_spec(KINDS[request.kind], request)
    resource = Resource(
        id=request.resource_id,
        kind=request.kind,
        tenant=envelope.tenant,
        name=request.name,
        labels=request.labels or {},
        spec=spec,
        status=Status(phase=Phase.REQUESTED),
        lease=None if request.lease_ttl is None else Lease(ttl=request.lease_ttl),
        deadline=request.deadline,
        created_at=created_at,
        updated_at=now,
        revision=0,
    )
    state = ResourceState(
        resource=resource,
        correlation_id=envelope.correlationid or envelope.id,
        traceparent=tracing.traceparent(),
        callback_url=request.callback_url,
        sealed=sealed,
    )
    return workflow.accept(state, WORKFLOWS[request.kind], now)


async def _change(
    state: ResourceState, request: RequestSubmitted, context: Context, recording: Recording
) -> ResourceState:
    # What comes of it, observations and timers included, is part of this request's trace.
    asked = msgspec.structs.replace(state, traceparent=tracing.traceparent())
    room = await _room(state, request, context, recording)
    decision = _decide(asked, request, room)
    recording.send(await context.ledger.save(recording.tx, state, decision))
    return decision.state


async def _room(
    state: ResourceState, request: RequestSubmitted, context: Context, recording: Recording
) -> Room | None:
    """What the quota has for a growth; nobody else is let hold more until it is recorded."""
    if request.verb is not Verb.UPDATE or size_asked(request) is None:
        return None
    name = state.resource.tenant
    tenant, used = context.tenants.by_name(name), await usage_of(recording.tx, [name])
    limit = tenant.quota.get("volume_gib") if tenant else None
    return Room(limit, used[name].get("volume_gib", 0))


def _decide(state: ResourceState, request: RequestSubmitted, room: Room | None) -> Decision:
    definition, now = WORKFLOWS[state.resource.kind], utc_now()
    if request.verb is Verb.DELETE:
        ending = Ending(goal=Goal.DELETE, reason=Reason.DELETE_REQUESTED, force=request.force)
        return workflow.end(state, definition, now, ending)
    return operations.request(state, definition, now, request, room)
