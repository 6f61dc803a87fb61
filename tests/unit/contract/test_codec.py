"""What the codec refuses, and the words it finds for it."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contract.codec import (
    MAX_BYTES,
    UndecodableMessage,
    decode,
    encode,
    envelope_for,
    type_of,
)
from shared.contract.messages import (
    RequestSubmitted,
    ResourceStatusChanged,
    VmBuildStarted,
    VmObserved,
)
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Resource, Status, Verb

MESSAGE = VmBuildStarted(server_id="s1")
ENVELOPE = envelope_for(
    MESSAGE,
    source="/vm_worker/demo",
    subject="vm-1",
    tenant="bigtop",
    id="1",
    time=datetime(2026, 3, 1, tzinfo=UTC),
)


def with_changes(**changes: Any) -> bytes:
    """The event with other attributes; None leaves one out."""
    event = json.loads(encode(ENVELOPE, MESSAGE)) | changes
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


FAULTS = {
    "empty": (b"", "not a CloudEvent"),
    "text": (b"hello", "not a CloudEvent"),
    "list": (b"[]", "not a CloudEvent"),
    "invalid UTF-8": (b'{"id":"\xff"}', "not a CloudEvent"),
    "half a surrogate pair": (b'{"id":"\\ud800"}', "not a CloudEvent"),
    "nested too deeply": (b'{"data":' + b"[" * 100_000, "nested too deeply"),
    "too large": (b" " * (MAX_BYTES + 1), "larger than"),
    "no id": (with_changes(id=None), "`id`"),
    "empty id": (with_changes(id=""), "$.id"),
    "endless id": (with_changes(id="x" * 513), "$.id"),
    "line feed in id": (with_changes(id="a\nb"), "$.id"),
    "line feed after id": (with_changes(id="a\n"), "$.id"),
    "zero byte in source": (with_changes(source="a\x00"), "$.source"),
    "number as tenant": (with_changes(tenant=5), "$.tenant"),
    "endless subject": (with_changes(subject="x" * 513), "$.subject"),
    "time is none": (with_changes(time="yesterday"), "$.time"),
    "time without zone": (with_changes(time="2026-03-01T00:00:00"), "time zone"),
    "time in the data without zone": (
        with_changes(
            type=type_of(VmObserved), data={"observed_at": "2026-03-01T00:00:00", "gone": True}
        ),
        "$.observed_at",
    ),
    "deadline without zone": (with_changes(notafter="2026-03-01T00:00:00"), "time zone"),
    "negative attempt": (with_changes(attempt=-1), "$.attempt"),
    "enormous sequence": (with_changes(sequence=2**40), "$.sequence"),
    "other specversion": (with_changes(specversion="0.3"), "specversion is '0.3'"),
    "other version": (with_changes(type="org.colobus.VmBuildStarted.v2"), "unknown message type"),
    "other vendor": (with_changes(type="com.example.VmBuildStarted.v1"), "unknown message type"),
    "bare name": (with_changes(type="VmBuildStarted"), "unknown message type"),
    "base of all": (with_changes(type="org.colobus.Message.v1"), "unknown message type"),
    "trace is none": (with_changes(traceparent="00-abc"), "traceparent"),
    "trace and more": (with_changes(traceparent=f"00-{'a' * 32}-{'b' * 16}-01\n"), "traceparent"),
    "no data": (with_changes(data=None), "data of VmBuildStarted"),
    "data of another": (with_changes(data={"port_id": "p"}), "data of VmBuildStarted"),
    "data as text": (with_changes(data="{}"), "data of VmBuildStarted"),
    "zero byte in data": (with_changes(data={"server_id": "a\x00"}), "U+0000"),
    "zero byte in what is unknown": (
        with_changes(data={"server_id": "a", "more": [{"\x00": 1}]}),
        "U+0000",
    ),
}


@pytest.mark.parametrize(("body", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_in_words(body: bytes, words: str) -> None:
    """They are the reason that the dead letter carries."""
    with pytest.raises(UndecodableMessage) as raised:
        decode(body)
    assert words in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_message_about_no_resource_yet_has_no_subject() -> None:
    """Optional in CloudEvents (§3.1); a request for something new has nothing to name."""
    envelope, _ = decode(with_changes(subject=None))
    assert envelope.subject == ""
    assert b"subject" not in encode(envelope, VmBuildStarted(server_id="a"))


def test_what_looks_like_a_zero_byte_is_none() -> None:
    """An escaped backslash before u0000 is ordinary text."""
    message = VmBuildStarted(server_id="a\\u0000")
    assert decode(encode(ENVELOPE, message))[1] == message


def test_times_are_compared_as_moments() -> None:
    """Another zone's way of writing it is the same moment."""
    assert decode(with_changes(time="2026-03-01T02:00:00+02:00"))[0] == ENVELOPE


def test_an_envelope_names_its_message() -> None:
    """Type and name are two forms of one word."""
    assert ENVELOPE.type == type_of(VmBuildStarted) == "org.colobus.VmBuildStarted.v1"
    assert ENVELOPE.message_name == "VmBuildStarted"


def test_a_new_envelope_has_an_id_and_a_time() -> None:
    """Two of them are never taken for one."""
    one, other = (envelope_for(MESSAGE, source="s", subject="vm-1", tenant="t") for _ in range(2))
    assert one.id != other.id
    assert one.time.tzinfo is not None


def test_an_unknown_word_of_a_vocabulary_is_undecodable() -> None:
    """A verb that nobody knows can't be done."""
    message = RequestSubmitted(verb=Verb.CREATE, kind="vm", resource_id="vm-1")
    body = encode(envelope_for(message, source="s", subject="vm-1", tenant="t"), message)
    with pytest.raises(UndecodableMessage, match="verb"):
        decode(body.replace(b'"create"', b'"explode"'))


def test_a_reason_that_only_a_newer_service_knows_is_kept_as_it_is() -> None:
    """Services are replaced one after the other: an older one takes the newer one's status."""
    status = Status(phase=Phase.FAILED, reason=Reason.IN_USE)
    vm = Resource("vm-1", "vm", "t", {}, status, ENVELOPE.time, ENVELOPE.time, 1)
    message = ResourceStatusChanged(resource=vm)
    body = encode(envelope_for(message, source="s", subject="vm-1", tenant="t"), message)
    newer = body.replace(b'"in_use"', b'"invented_later"')
    envelope, decoded = decode(newer)
    assert isinstance(decoded, ResourceStatusChanged)
    assert decoded.resource.status.reason == "invented_later"
    assert pickle.loads(pickle.dumps(decoded)) == decoded == copy.deepcopy(decoded)
    assert encode(envelope, decoded) == newer
