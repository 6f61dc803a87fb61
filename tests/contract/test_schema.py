"""The JSON Schema of every message: valid, and true of what is on the wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared.contract.codec import Envelope
from shared.contract.kinds import KINDS
from shared.contract.messages import MESSAGES
from tests.contract.golden_files import NAMES, golden


def validator(struct: type[msgspec.Struct]) -> Draft202012Validator:
    """A validator for JSON of this type."""
    schema = msgspec.json.schema(struct)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_event_is_valid(name: str) -> None:
    """Schema and golden file say the same of a message and of its envelope."""
    event = golden(name)
    data = event.pop("data")
    validator(MESSAGES[name]).validate(data)
    validator(Envelope).validate(event)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_types_are_invalid(name: str) -> None:
    """A schema that accepts everything would prove nothing."""
    check = validator(MESSAGES[name])
    assert not check.is_valid([])
    for key in golden(name)["data"]:
        assert not check.is_valid(golden(name)["data"] | {key: object()}), key


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_body_of_a_kind_has_a_valid_schema(kind: Any) -> None:
    """OpenAPI 3.1 takes these as they are."""
    for struct in (kind.spec, kind.create, kind.update):
        assert validator(struct).schema["$defs"][struct.__name__]["additionalProperties"] is False
