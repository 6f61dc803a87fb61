"""CloudEvents 1.0, structured JSON: how a message becomes bytes and bytes become a message.

Source of the form: CloudEvents 1.0.2 §3 and its JSON event format; extension attribute names
are lower-case letters and digits only (§3.1), hence ``notafter``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from shared.contract.identifiers import new_ulid
from shared.contract.messages import MESSAGES, Message

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "org.colobus."
TYPE_SUFFIX = ".v1"
#: The largest message that is taken from the bus, in bytes.
MAX_BYTES = 1024 * 1024

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: An attribute's text: bounded, since it goes into indexes and logs, without control characters.
_Text = Annotated[str, Meta(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
_Name = Annotated[_Text, Meta(min_length=1)]
#: An attribute's number: what the database's integer can hold.
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_NUL = "\x00"
_T = TypeVar("_T")


class UndecodableMessage(ValueError):
    """The bytes are no message of ours; the text says what is wrong with them."""


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"not_after": "notafter"}
):
    """The attributes of a CloudEvent. ``subject`` is the resource id, "" while there is none.

    ``attempt`` and ``step`` name the open step that a command works on, and its events echo them;
    ``not_after``: start nothing later; ``sequence``: the resource's revision, on status messages.
    """

    id: _Name
    source: _Name
    type: _Name
    subject: _Text = ""
    time: datetime
    tenant: _Text
    specversion: str
    datacontenttype: str | None = None
    correlationid: _Text | None = None
    causationid: _Text | None = None
    traceparent: str | None = None
    attempt: _Count | None = None
    step: _Text | None = None
    not_after: datetime | None = None
    sequence: _Count | None = None

    @property
    def message_name(self) -> str:
        """The message's name: ``ProvisionVm`` for ``org.colobus.ProvisionVm.v1``."""
        return self.type.removeprefix(TYPE_PREFIX).removesuffix(TYPE_SUFFIX)


class _Wire(
    Envelope, frozen=True, kw_only=True, omit_defaults=True, rename={"not_after": "notafter"}
):
    data: msgspec.Raw = msgspec.Raw(b"null")


_encoder = msgspec.json.Encoder()
_wire_decoder = msgspec.json.Decoder(_Wire)
_data_decoders = {name: msgspec.json.Decoder(message) for name, message in MESSAGES.items()}
_ENVELOPE_FIELDS = Envelope.__struct_fields__


def type_of(message: Message | type[Message]) -> str:
    """The CloudEvents type of a message: ``org.colobus.<Name>.v1``."""
    cls = message if isinstance(message, type) else type(message)
    return f"{TYPE_PREFIX}{cls.__name__}{TYPE_SUFFIX}"


def envelope_for(
    message: Message,
    *,
    source: str,
    subject: str,
    tenant: str,
    id: str | None = None,
    time: datetime | None = None,
    correlationid: str | None = None,
    causationid: str | None = None,
    traceparent: str | None = None,
    attempt: int | None = None,
    step: str | None = None,
    not_after: datetime | None = None,
    sequence: int | None = None,
) -> Envelope:
    """Make the envelope of a new message; ``id`` defaults to a new ULID, ``time`` to now."""
    return Envelope(
        specversion="1.0",
        datacontenttype="application/json",
        id=id or new_ulid(),
        source=source,
        type=type_of(message),
        subject=subject,
        time=time or datetime.now(UTC),
        tenant=tenant,
        correlationid=correlationid,
        causationid=causationid,
        traceparent=traceparent,
        attempt=attempt,
        step=step,
        not_after=not_after,
        sequence=sequence,
    )


def encode(envelope: Envelope, message: Message) -> bytes:
    """Return the CloudEvent as JSON."""
    attributes = {name: getattr(envelope, name) for name in _ENVELOPE_FIELDS}
    return _encoder.encode(_Wire(**attributes, data=msgspec.Raw(_encoder.encode(message))))


def decode(body: bytes) -> tuple[Envelope, Message]:
    """Return the envelope and the typed message.

    Raises `UndecodableMessage` for anything else, naming the field where there is one.
    """
    if len(body) > MAX_BYTES:
        raise UndecodableMessage(f"message of {len(body)} bytes is larger than {MAX_BYTES}")
    wire = _decoded(_wire_decoder, body, "not a CloudEvent")
    if wire.specversion != "1.0":
        raise UndecodableMessage(f"specversion is {wire.specversion[:200]!r}, expected '1.0'")
    if wire.time.tzinfo is None or (wire.not_after is not None and wire.not_after.tzinfo is None):
        raise UndecodableMessage("time and notafter must carry a time zone (RFC 3339)")
    decoder = _data_decoders.get(wire.message_name)
    if decoder is None or wire.type != f"{TYPE_PREFIX}{wire.message_name}{TYPE_SUFFIX}":
        raise UndecodableMessage(f"unknown message type {wire.type[:200]!r}")
    if wire.traceparent is not None and not _TRACEPARENT.fullmatch(wire.traceparent):
        raise UndecodableMessage("traceparent is not of the form of W3C Trace Context")
    message = _decoded(decoder, wire.data, f"data of {wire.message_name}")
    if rb"\u0000" in body and _has_nul(msgspec.json.decode(wire.data)):
        # PostgreSQL can't hold it, neither as text nor as jsonb.
        raise UndecodableMessage(f"data of {wire.message_name}: a text contains U+0000")
    attributes = {name: getattr(wire, name) for name in _ENVELOPE_FIELDS}
    return Envelope(**attributes), message


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes | msgspec.Raw, what: str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableMessage(f"{what}: {error}") from error
    except RecursionError as error:
        raise UndecodableMessage(f"{what}: nested too deeply") from error


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return _NUL in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_has_nul(part) for part in value)
