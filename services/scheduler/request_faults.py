"""Everything that is wrong with a request on the bus, each fault with its JSON Pointer. Pure.

The pointers lead into the CloudEvent as it was sent: ``/data/spec/image``. Types and bounds are
those of the bodies that the front door takes (`shared.contract.kinds`), so the verdict is too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.bus import Delivery
from shared.contract import outgoing
from shared.contract.field_errors import field_errors, pointer
from shared.contract.identifiers import is_id
from shared.contract.kinds import (
    KINDS,
    SEALED,
    CallbackUrl,
    Kind,
    Labels,
    MakingSeconds,
    Name,
    Seconds,
)
from shared.contract.messages import RequestSubmitted
from shared.contract.problems import FieldError
from shared.contract.resources import POWER_VERBS, Verb
from shared.runtime.url_policy import check_callback_url

_DATA = "/data"
#: What a sealed box adds to what is in it, in bytes (libsodium's crypto_box_SEALBYTES).
_SEAL_BYTES = 48
#: What each verb says besides verb, kind and resource_id.
_FIELDS: dict[Verb, frozenset[str]] = {
    Verb.CREATE: frozenset({"name", "labels", "spec", "lease_ttl", "deadline", "callback_url"}),
    Verb.DELETE: frozenset({"force"}),
    Verb.EXTEND: frozenset({"lease_ttl"}),
    Verb.UPDATE: frozenset({"labels", "lease_ttl", "spec", "operation_id"}),
    **{verb: frozenset({"operation_id"}) for verb in POWER_VERBS},
}


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The data of a `RequestSubmitted` with its bounds: those of the bodies in `kinds`."""

    verb: Verb
    kind: str
    resource_id: str | None = None
    operation_id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    name: Name | None = None
    labels: Labels | None = None
    spec: dict[str, Any] = {}
    lease_ttl: Seconds | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None
    force: bool = False


def subject_faults(delivery: Delivery, request: RequestSubmitted) -> Iterator[FieldError]:
    """The envelope must speak of the same resource as the data."""
    if delivery.envelope.subject not in ("", request.resource_id):
        detail = "It must be the resource_id; left out for a create."
        yield FieldError(detail=detail, pointer="/subject")


def key_faults(delivery: Delivery, request: RequestSubmitted) -> Iterator[FieldError]:
    """The broker has judged the routing key, so it must say what the message says."""
    key = outgoing.request_key(delivery.envelope.tenant, request)
    if delivery.routing_key != key:
        yield FieldError(detail=f"It must be {key}.", parameter="routing key")


def minted_faults(data: dict[str, Any], *, anywhere: bool = False) -> Iterator[FieldError]:
    """What is wrong with the data of a request by the front door, which mints the ids itself."""
    yield from data_faults(data, anywhere=anywhere)
    if data.get("resource_id") is None and data["verb"] == Verb.CREATE:
        yield FieldError(detail="This field is required.", pointer=f"{_DATA}/resource_id")


def own_faults(
    data: Any, networks: Sequence[str] = (), *, anywhere: bool = False
) -> list[FieldError]:
    """What is wrong with the data of a request by a tenant's own user."""
    faults = list(data_faults(data, anywhere=anywhere))
    if isinstance(data, dict):
        if data.get("verb") == Verb.CREATE and data.get("resource_id") is not None:
            detail = "Leave it out: the id is minted here, and told in the answer."
            faults.append(FieldError(detail=detail, pointer=f"{_DATA}/resource_id"))
        url = data.get("callback_url")
        if isinstance(url, str):
            faults += _callback_faults(url, networks)
    return faults


def _callback_faults(url: str, networks: Sequence[str]) -> Iterator[FieldError]:
    """Names are not resolved here: the webhook worker judges the address when it connects."""
    try:
        check_callback_url(url, networks)
    except ValueError as error:
        detail = f"No URL for callbacks: {error}."
        yield FieldError(detail=detail, pointer=f"{_DATA}/callback_url")


def data_faults(data: Any, *, anywhere: bool = False) -> Iterator[FieldError]:
    """Faults of the data, whoever sent it; ``anywhere``: the tenant's apps may be."""
    yield from field_errors(data, Asked, _DATA)
    if not isinstance(data, dict) or not isinstance(name := data.get("kind"), str):
        return
    if (kind := KINDS.get(name)) is None:
        detail = f"It must be one of {', '.join(KINDS)}."
        yield FieldError(detail=detail, pointer=f"{_DATA}/kind")
        return
    if data.get("verb") not in list(Verb):
        return
    verb = Verb(data["verb"])
    if verb not in kind.verbs | {Verb.CREATE, Verb.DELETE}:
        yield FieldError(detail=f"A {kind.name} knows no {verb.value}.", pointer=f"{_DATA}/verb")
        return
    yield from _verb_faults(verb, data)
    if verb is Verb.DELETE and data.get("force") is True and not kind.takes_force:
        detail = f"The end of a {kind.name} can't be forced."
        yield FieldError(detail=detail, pointer=f"{_DATA}/force")
    yield from _id_faults(kind, verb, data.get("resource_id"))
    if verb is Verb.CREATE:
        yield from _spec_faults(kind, kind.spec, data.get("spec", {}), anywhere=anywhere)
    elif verb is Verb.UPDATE:
        yield from _spec_faults(kind, kind.change, data.get("spec", {}), anywhere=anywhere)


def _verb_faults(verb: Verb, data: dict[str, Any]) -> Iterator[FieldError]:
    optional = set(Asked.__struct_fields__) - {"verb", "kind", "resource_id"}
    given = {name for name in optional if data.get(name) not in (None, {}, False)}
    for name in sorted(given - _FIELDS[verb]):
        yield FieldError(detail=f"A {verb.value} takes none.", pointer=f"{_DATA}/{name}")
    if verb is Verb.EXTEND and data.get("lease_ttl") is None:
        yield FieldError(detail="This field is required.", pointer=f"{_DATA}/lease_ttl")
    if verb is Verb.UPDATE and not _changes(data):
        yield FieldError(detail="Name at least one field to change.", pointer=_DATA)


def _changes(data: dict[str, Any]) -> bool:
    spec = data.get("spec") or {}
    values = [data.get("labels"), data.get("lease_ttl")]
    values += spec.values() if isinstance(spec, dict) else [spec]
    return any(value is not None for value in values)


def _id_faults(kind: Kind, verb: Verb, resource_id: Any) -> Iterator[FieldError]:
    at = f"{_DATA}/resource_id"
    if resource_id is None:
        if verb is not Verb.CREATE:
            yield FieldError(detail="This field is required.", pointer=at)
    elif isinstance(resource_id, str) and not is_id(resource_id, kind.name):
        yield FieldError(detail=f"It is no id of a {kind.name}.", pointer=at)


def _spec_faults(
    kind: Kind, wanted: type[msgspec.Struct], spec: Any, *, anywhere: bool
) -> Iterator[FieldError]:
    if not isinstance(spec, dict):
        return
    shown, at = dict(spec), f"{_DATA}/spec"
    for secret in kind.secrets:
        if shown.pop(secret, None) is not None:
            detail = (
                f"It must not travel in the clear: seal it to {kind.opener}'s public key "
                f"(GET /v1/catalog, sealing_public_keys) and send it as {SEALED}{secret}."
            )
            yield FieldError(detail=detail, pointer=at + pointer(secret))
        box = shown.pop(SEALED + secret, None)
        if box is not None and not is_sealed(box):
            detail = "It must be a libsodium sealed box in base64."
            yield FieldError(detail=detail, pointer=at + pointer(SEALED + secret))
    faults = field_errors(shown, wanted, at)
    yield from faults
    rules = kind.rules
    if not faults and rules is not None:
        for one in rules.unprepared(shown) or rules.faults(shown, anywhere=anywhere):
            yield msgspec.structs.replace(one, pointer=f"{at}{one.pointer}")


def is_sealed(box: Any) -> bool:
    """Tell whether it has the form of a sealed box in base64; only its owner could tell more."""
    if not isinstance(box, str):
        return False
    try:
        return len(base64.b64decode(box, validate=True)) >= _SEAL_BYTES
    except (binascii.Error, ValueError):
        return False
