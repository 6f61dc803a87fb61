"""The OpenAPI document: valid, complete, and generated from what is really served."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from services.front_door.application import VERSION
from services.front_door.openapi import openapi_document
from services.front_door.routes import ROUTES
from shared.contract.kinds import KINDS
from shared.contract.problems import Reason


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as it goes over the wire."""
    return msgspec.json.decode(msgspec.json.encode(openapi_document(ROUTES, VERSION)))


def test_the_document_is_valid_openapi(document: Any) -> None:
    """By an independent validator."""
    validate(document)


def test_a_reason_that_a_newer_service_says_is_valid(document: Any) -> None:
    """The known ones are in it all the same; a phase is one of those that are named."""
    schemas = document["components"]["schemas"]
    reason = Draft202012Validator(schemas["Reason"])
    assert reason.is_valid("quota_exceeded")
    assert reason.is_valid("never_heard_of")
    assert not reason.is_valid(7)
    assert {"enum": [one.value for one in sorted(Reason)]} in schemas["Reason"]["anyOf"]
    assert not Draft202012Validator(schemas["Phase"]).is_valid("never_heard_of")


def test_every_route_is_described(document: Any) -> None:
    """Each has its own name, a summary and its answers; those that need credentials say so."""
    names = set()
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        names.add(operation["operationId"])
        assert operation["summary"]
        assert str(route.status) in operation["responses"]
        assert ("401" in operation["responses"]) is not route.public
        assert (operation.get("security") == []) is route.public
    assert len(names) == len(ROUTES)


def test_every_4xx_and_5xx_is_a_problem_document(document: Any) -> None:
    """RFC 9457, everywhere."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status[0] in "45":
                    assert list(answer["content"]) == ["application/problem+json"]


def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    """And no other."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            described = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert described == re.findall(r"{(\w+)}", path)


def test_every_kind_has_its_routes(document: Any) -> None:
    """Create, list, show, end, follow, and its verbs."""
    for kind in KINDS.values():
        assert {"get", "post"} <= document["paths"][f"/v1/{kind.plural}"].keys()
        one = document["paths"][f"/v1/{kind.plural}/{{id}}"]
        assert {"get", "delete"} <= one.keys()
        assert f"/v1/{kind.plural}/{{id}}/events" in document["paths"]


def test_a_kind_is_spoken_of_in_english(document: Any) -> None:
    """With the article that its name wants."""
    for methods in document["paths"].values():
        for operation in methods.values():
            assert not re.search(r"\b(a [aeiou]|an [^aeiou])", operation["summary"])


def test_only_what_waits_for_its_users_is_deleted_by_force(document: Any) -> None:
    """A parameter that would mean nothing is none."""
    for kind in KINDS.values():
        delete = document["paths"][f"/v1/{kind.plural}/{{id}}"]["delete"]
        names = {parameter["name"] for parameter in delete["parameters"]}
        assert ("force" in names) is kind.takes_force is (kind.name in {"attachment", "cluster"})


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"image": "debian-12", "flavor": "small"}, True),
        ({"image": "debian-12", "flavor": "small", "labels": {"a": "b"}, "name": "x"}, True),
        ({"image": "debian-12"}, False),
        ({"image": "debian-12", "flavor": "small", "colour": "red"}, False),
        ({"image": "debian-12", "flavor": "small", "lease": {"ttl": 0}}, False),
        ({"image": "debian-12", "flavor": "small", "name": "-"}, False),
    ],
)
def test_the_schema_of_a_body_refuses_what_the_front_door_refuses(
    document: Any, body: Any, valid: bool
) -> None:
    """The bounds of the contract are in the document."""
    schema = {"$ref": "#/components/schemas/CreateVm", "components": document["components"]}
    assert Draft202012Validator(schema).is_valid(body) is valid
