"""What a request on the bus may say: every fault is named, and the verdict is that of the POST."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.requests import REFUSALS, check_request, split_spec
from shared.bus import Delivery, RejectedMessage
from shared.contract.codec import decode, type_of
from shared.contract.field_errors import field_errors
from shared.contract.http import MAX_BODY
from shared.contract.kinds import KINDS, CreateVm, VmSpec
from shared.contract.messages import RequestRefused, RequestSubmitted
from shared.contract.problems import FieldError, Problem
from shared.runtime.secrets import SealingKey, seal
from tests.unit.scheduler.driver import VM

SPEC = {"image": "debian-12", "flavor": "small"}
CREATE = {"verb": "create", "kind": "vm", "spec": SPEC}
#: The fields of a POST's body that are no part of the spec, and their names on the bus.
BESIDE_SPEC = {"name": "name", "labels": "labels", "deadline": "deadline"}


def _event(data: Any, **attributes: Any) -> bytes:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/ci",
        "type": type_of(RequestSubmitted),
        "time": datetime.now(UTC),
        "tenant": "bigtop",
        "data": data,
        **attributes,
    }
    return msgspec.json.encode(event)


def _delivery(body: bytes, key: str = "bigtop.vm.create") -> Delivery:
    envelope, message = decode(body)
    return Delivery(
        envelope=envelope,
        message=message,
        queue="scheduler.requests",
        routing_key=key,
        headers={},
        user_id="ci-bigtop",
        reply_to=None,
        repeated=False,
        body=body,
    )


def _check(data: dict[str, Any], *, own: bool = True, **attributes: Any) -> RequestSubmitted:
    delivery = _delivery(_event(data, **attributes), f"bigtop.{data['kind']}.{data['verb']}")
    assert isinstance(delivery.message, RequestSubmitted)
    check_request(delivery, delivery.message, own=own)
    return delivery.message


def _faults(data: dict[str, Any], **attributes: Any) -> dict[str | None, str]:
    with pytest.raises(RejectedMessage) as raised:
        _check(data, **attributes)
    problem = raised.value.problem()
    assert (problem.status, problem.reason) == (422, "bad_fields")
    return {error.pointer: error.detail for error in problem.errors}


def test_what_the_front_door_takes_the_bus_takes_too() -> None:
    """The bounds are the same at both doors."""
    fields = {"name": "web-1", "labels": {"a/b": "c"}, "lease_ttl": 60, "deadline": 86400}
    _check({**CREATE, **fields, "callback_url": "https://example.org/"})
    _check({**CREATE, **fields, "resource_id": VM}, own=False, subject=VM)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lease_ttl", 10**12),
        ("lease_ttl", 0),
        ("deadline", 10**12),
        ("deadline", -1),
        ("name", "x" * 64),
        ("labels", {"": "x"}),
        ("labels", {"x": "y" * 256}),
        ("labels", {f"k{number}": "" for number in range(65)}),
        ("callback_url", "https://" + "x" * 2048),
        ("operation_id", "x" * 101),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_what_is_beyond_the_bounds_is_rejected_by_name(
    field: str, value: object, own: bool
) -> None:
    """What no HTTP request could bring must not come in by the bus, to fail again and again."""
    with pytest.raises(RejectedMessage, match=field):
        _check({**CREATE, field: value, "resource_id": None if own else VM}, own=own)


#: What a tenant's own user sends, and the pointers that the answer must have.
OWN_FAULTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "an id of its own choice": ({**CREATE, "resource_id": VM}, {"/data/resource_id"}),
    "a mistyped field": ({**CREATE, "lease_tll": 60}, {"/data/lease_tll"}),
    "a mistyped field of the spec": (
        {**CREATE, "spec": {**SPEC, "falvor": "big"}},
        {"/data/spec/falvor"},
    ),
    "two faults": (
        {**CREATE, "name": "a b", "spec": {"image": "", "flavor": "small"}},
        {"/data/name", "/data/spec/image"},
    ),
    "no spec": ({"verb": "create", "kind": "vm"}, {"/data/spec/image", "/data/spec/flavor"}),
    "a secret in the clear": (
        {**CREATE, "spec": {**SPEC, "user_data": "#cloud-config"}},
        {"/data/spec/user_data"},
    ),
    "a secret that isn't sealed": (
        {**CREATE, "spec": {**SPEC, "sealed_user_data": "#cloud-config"}},
        {"/data/spec/sealed_user_data"},
    ),
    "a sealed number": (
        {**CREATE, "spec": {**SPEC, "sealed_user_data": 5}},
        {"/data/spec/sealed_user_data"},
    ),
    "an unknown kind": ({**CREATE, "kind": "castle"}, {"/data/kind"}),
    "a private callback": (
        {**CREATE, "callback_url": "http://169.254.169.254/"},
        {"/data/callback_url"},
    ),
    "no resource": ({"verb": "delete", "kind": "vm"}, {"/data/resource_id"}),
    "another kind's id": (
        {"verb": "delete", "kind": "vm", "resource_id": "castle-1"},
        {"/data/resource_id"},
    ),
    "what a delete doesn't take": (
        {"verb": "delete", "kind": "vm", "resource_id": VM, "lease_ttl": 5},
        {"/data/lease_ttl"},
    ),
    "an extension by nothing": (
        {"verb": "extend", "kind": "vm", "resource_id": VM},
        {"/data/lease_ttl"},
    ),
    "an update of nothing": ({"verb": "update", "kind": "vm", "resource_id": VM}, {"/data"}),
}


@pytest.mark.parametrize(("data", "pointers"), OWN_FAULTS.values(), ids=OWN_FAULTS)
def test_every_fault_of_a_tenants_request_is_named(
    data: dict[str, Any], pointers: set[str]
) -> None:
    """A JSON Pointer into the message as it was sent, for each."""
    assert set(_faults(data)) == pointers


def test_a_secret_in_the_clear_is_refused_with_the_way_to_seal_it() -> None:
    """Whoever reads the answer knows what to do; the secret is not in it."""
    faults = _faults({**CREATE, "spec": {**SPEC, "user_data": "hunter2"}})
    assert "sealed_user_data" in faults["/data/spec/user_data"]
    assert "/v1/catalog" in faults["/data/spec/user_data"]


def test_the_clear_secret_of_a_machine_is_told_whose_key_seals_it() -> None:
    """That of the worker that writes it to a disk, which is not its kind's."""
    spec = {**SPEC, "user_data": "hunter2"}
    faults = _faults({**CREATE, "kind": "machine", "spec": spec})
    assert "iscsi_worker's public key" in faults["/data/spec/user_data"]
    assert "hunter2" not in str(faults)


def test_a_sealed_secret_is_split_off_the_spec() -> None:
    """What is shown has neither its clear nor its sealed form; 48 KiB are taken."""
    box = seal(SealingKey.generate().public_key, b"x" * 49152)
    request = _check({**CREATE, "spec": {**SPEC, "sealed_user_data": box}})
    shown, sealed = split_spec(KINDS["vm"], request)
    assert sealed == {"user_data": box}
    assert not any("user_data" in name for name in shown)


def test_the_message_must_be_about_what_it_says_where_it_says() -> None:
    """Subject and routing key can't be other than the data: permissions are on the key."""
    assert set(_faults(CREATE, subject=VM)) == {"/subject"}
    delivery = _delivery(_event(CREATE), "bigtop.vm.delete")
    assert isinstance(delivery.message, RequestSubmitted)
    with pytest.raises(RejectedMessage, match=r"routing key: It must be bigtop\.vm\.create"):
        check_request(delivery, delivery.message, own=True)


def test_a_tenants_request_is_no_larger_than_a_body() -> None:
    """Bounded like a POST, whatever the bus itself would take."""
    padding = "x" * MAX_BODY
    with pytest.raises(RejectedMessage, match=str(MAX_BODY)):
        _check({**CREATE, "labels": {"a": padding}})


_ODD = st.sampled_from(
    [None, True, 0, -1, 3600, 1.5, "", "small", "a b", "x" * 300, [], ["x"], {}, {"k": "v"}]
)
_BODIES = st.dictionaries(
    st.sampled_from([*VmSpec.__struct_fields__, *BESIDE_SPEC, "other"]), _ODD, max_size=8
).map(lambda odd: {name: value for name, value in (SPEC | odd).items() if name != "user_data"})


@given(_BODIES)
def test_the_verdict_is_that_of_the_post(body: dict[str, Any]) -> None:
    """The same faults at the same fields, whichever way it is asked."""
    beside = {BESIDE_SPEC[name]: value for name, value in body.items() if name in BESIDE_SPEC}
    spec = {name: value for name, value in body.items() if name not in BESIDE_SPEC}
    by_post = {(one.pointer or "").split("/")[1] for one in field_errors(body, CreateVm)}
    event = _event({**CREATE, **beside, "spec": spec})
    try:
        delivery = _delivery(event)
    except ValueError as error:  # the bus can't decode it; the answer names the fields all the same
        answer = REFUSALS.answer(event, Problem(title="-", reason="undecodable", detail=str(error)))
        assert isinstance(answer, RequestRefused)
        errors: tuple[FieldError, ...] = answer.problem.errors
    else:
        assert isinstance(delivery.message, RequestSubmitted)
        try:
            check_request(delivery, delivery.message, own=True)
            errors = ()
        except RejectedMessage as rejected:
            errors = rejected.errors
    by_bus = {(one.pointer or "").removeprefix("/data").removeprefix("/spec") for one in errors}
    if beside.get("labels", {}) is not None:  # a POST's labels are {} when there are none
        assert {pointer.split("/")[1] for pointer in by_bus} == by_post


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"garbage", set()),
        (b"[]", {""}),
        (b"[" * 100_000, set()),
        (_event({**CREATE, "verb": "crate", "name": 5}), {"/data/verb", "/data/name"}),
        (_event(None), {"/data"}),
        (_event(CREATE, time="now", source=""), {"/time", "/source"}),
    ],
)
def test_what_cannot_be_decoded_is_answered_with_all_its_faults(
    body: bytes, pointers: set[str]
) -> None:
    """Where it is JSON at all; the codec itself stops at the first."""
    answer = REFUSALS.answer(body, Problem(title="Undecodable message", reason="undecodable"))
    assert isinstance(answer, RequestRefused)
    assert {error.pointer for error in answer.problem.errors} == pointers


@pytest.mark.parametrize(
    "data",
    [
        {**CREATE, "spec": {**SPEC, "user_data": "hunter2"}},
        {"verb": "crate", "spec": {"user_data": "hunter2"}},
        {"labels": 5, "spec": {"user_data": ["hunter2"]}},
        {**CREATE, "user_data": "hunter2"},
        {"user_data": "hunter2"},
        {**CREATE, "spec": {**SPEC, "userData": "hunter2"}},
        {**CREATE, "spec": {**SPEC, "user-data": {"content": "hunter2"}}},
        {**CREATE, "spec": {**SPEC, "sealed_user_data": "hunter2"}},
        {**CREATE, "spec": {**SPEC, "image": {"user_data": "hunter2"}}},
        {**CREATE, "spec": {**SPEC, "ssh_keys": [{"user_data": "hunter2"}]}},
        {**CREATE, "spec": "hunter2"},
        {**CREATE, "labels": {"user_data": {"content": "hunter2"}}},
        {**CREATE, "labels": ["user_data", ["hunter2"]]},
        "hunter2",
        ["hunter2"],
    ],
)
def test_what_is_kept_of_a_refused_request_has_no_secret(data: dict[str, Any]) -> None:
    """Also of one that can't be decoded, at any name; whose it was is kept."""
    kept = REFUSALS.keep(_event(data, source="/ci/job"))
    assert b"hunter2" not in kept
    assert b"/ci/job" in kept


@pytest.mark.parametrize(
    "body",
    [
        b'{"user_data": "hunter2"}',
        b'{"data": {"spec": {"user_data": "hunter2"}}, "data": {}}',
        b'{"data": {"spec": {"user_data": "hunter2"}',
        b'"hunter2"',
        b"#cloud-config\npassword: hunter2",
    ],
)
def test_what_is_no_request_at_all_is_kept_without_its_words(body: bytes) -> None:
    """A name twice, an end that is missing, no JSON."""
    assert b"hunter2" not in REFUSALS.keep(body)


@pytest.mark.parametrize("body", [b"garbage", b"[]", b"", b"[" * 100_000])
def test_what_is_no_object_can_be_known_again(body: bytes) -> None:
    """By length and digest, to whoever has it."""
    kept = msgspec.json.decode(REFUSALS.keep(body))
    digest = hashlib.sha256(body).hexdigest()
    assert kept == {"left_out": "no JSON object", "bytes": len(body), "sha256": digest}


def test_what_was_wrong_can_be_seen_in_what_is_kept() -> None:
    """All names, and all values that can be no secrets."""
    box = seal(SealingKey.generate().public_key, b"x")
    spec = {**SPEC, "ssh_keys": ["k"], "sealed_user_data": box}
    data = {**CREATE, "labels": {"a": "b"}, "spec": {**spec, "falvor": "big"}, "lease_ttl": -1}
    body = _event(data, correlationid="job-7")
    wanted = msgspec.json.decode(body)
    wanted["data"]["spec"]["falvor"] = "(left out)"
    assert msgspec.json.decode(REFUSALS.keep(body)) == wanted


def test_the_front_door_names_the_id() -> None:
    """It has told its user already."""
    with pytest.raises(RejectedMessage, match="/data/resource_id"):
        _check(CREATE, own=False)
