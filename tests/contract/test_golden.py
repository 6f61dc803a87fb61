"""Every message as it is on the wire: whoever changes its form changes a file here, knowingly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from msgspec.inspect import Field, Type

from shared.contract.codec import Envelope, decode, encode
from shared.contract.messages import MESSAGES, ResourceStatusChanged
from tests.contract.golden_files import NAMES, as_bytes, golden


def test_every_message_has_its_golden_file() -> None:
    """And no file is left of a message that is gone."""
    assert sorted(MESSAGES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_event_comes_back_as_it_was(name: str) -> None:
    """Decoded and encoded again, nothing is lost, renamed, or written in another form."""
    envelope, message = decode(as_bytes(golden(name)))
    assert type(message) is MESSAGES[name]
    assert json.loads(encode(envelope, message)) == golden(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_event_fills_every_field(name: str) -> None:
    """A new field is pinned from its first day: add it to the golden file."""
    event = golden(name)
    attributes = {field.encode_name for field in msgspec.structs.fields(Envelope)}
    assert set(event) == attributes | {"data"}
    missing = list(_missing(inspect.type_info(MESSAGES[name]), event["data"], "data"))
    assert not missing, f"not in golden/{name}.json: {missing}"


def _missing(kind: Type, value: Any, place: str) -> Iterator[str]:
    """Fields of structs that ``value`` doesn't have, at any depth."""
    match kind:
        case inspect.UnionType(types=types):
            for part in types:
                yield from _missing(part, value, place)
        case inspect.VarTupleType(item_type=item):
            for number, part in enumerate(value):
                yield from _missing(item, part, f"{place}[{number}]")
        case inspect.StructType(fields=fields):
            for field in fields:
                at = f"{place}.{field.encode_name}"
                if field.encode_name not in value:
                    yield at
                else:
                    yield from _missing(field.type, value[field.encode_name], at)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_optional_may_be_left_out(name: str) -> None:
    """An older sender doesn't know the newer fields; each then has its default."""
    event = golden(name)
    for field in _optional(MESSAGES[name]):
        older = event | {"data": {k: v for k, v in event["data"].items() if k != field.encode_name}}
        _, message = decode(as_bytes(older))
        default = _default(field)
        assert getattr(message, field.name) == default


def test_a_status_of_a_scheduler_of_before_says_nothing_of_parts() -> None:
    """What is within a resource may be left out, too: services are upgraded one after the other."""
    event = golden("ResourceStatusChanged")
    for step in event["data"]["resource"]["status"]["steps"]:
        del step["parts"], step["more_parts"]
    _, message = decode(as_bytes(event))
    assert isinstance(message, ResourceStatusChanged)
    assert [(one.parts, one.more_parts) for one in message.resource.status.steps] == [((), 0)]


def _optional(struct: type[msgspec.Struct]) -> list[Field]:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return [field for field in kind.fields if not field.required]


def _default(field: Field) -> Any:
    """The value of a field that isn't given."""
    return field.default_factory() if callable(field.default_factory) else field.default


@pytest.mark.parametrize("name", NAMES)
def test_what_is_required_is_missed_by_name(name: str) -> None:
    """The reason in the dead letters says which field is not there."""
    event = golden(name)
    for field in msgspec.structs.fields(MESSAGES[name]):
        if field.required:
            data = {k: v for k, v in event["data"].items() if k != field.encode_name}
            with pytest.raises(ValueError, match=f"data of {name}.*`{field.encode_name}`"):
                decode(as_bytes(event | {"data": data}))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unknown_is_tolerated(name: str) -> None:
    """A newer sender says more; parts are upgraded one by one."""
    event = golden(name)
    newer = event | {"newattribute": "x", "data": event["data"] | {"newer": {"a": [1]}}}
    assert decode(as_bytes(newer)) == decode(as_bytes(event))


@pytest.mark.parametrize("name", NAMES)
def test_optional_fields_at_their_default_are_not_written(name: str) -> None:
    """What says nothing costs nothing on the wire."""
    event = golden(name)
    required = [f.encode_name for f in msgspec.structs.fields(MESSAGES[name]) if f.required]
    least = event | {"data": {key: event["data"][key] for key in required}}
    assert json.loads(encode(*decode(as_bytes(least))))["data"] == least["data"]
