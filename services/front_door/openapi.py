"""The OpenAPI 3.1 document, generated from the table of routes and the contract's own types."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from services.front_door.route import Parameter, Route
from shared.contract.http import MAX_BODY, TimelineEvent
from shared.contract.json_schemas import json_schemas
from shared.contract.problems import Problem

_REF = "#/components/schemas/{name}"
_DESCRIPTION = f"""\
Colobus hands out what a developer cloud has. Ask by POST, and learn the outcome from the resource
itself, its live events, or a signed webhook.

Errors are problem documents (RFC 9457); `errors` names every bad field. Bodies are at most
{MAX_BODY} bytes of JSON. Times are RFC 3339, durations are seconds."""
#: What any route may answer, with the reason to expect it.
_FAULTS = {
    400: "The request is malformed: not JSON, or a bad parameter",
    401: "No valid credentials",
    403: "The credentials are not enough",
    404: "No such thing, or another tenant's",
    408: "The body did not arrive in time",
    409: "Not in this phase",
    412: "Not at that revision",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "Fields of the body are wrong, or the Idempotency-Key was used for another body",
    429: "Too many requests; Retry-After says when to come again",
    500: "An error of ours; it is in the log under the request's id",
    503: "Not now: nothing was accepted; Retry-After says when to come again",
}


def openapi_document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Return the document for ``routes``."""
    routes = tuple(routes)
    types = {kind for route in routes for kind in (route.body, route.answer) if kind is not None}
    named = sorted(types | {Problem, TimelineEvent}, key=lambda kind: str(kind.__name__))
    schemas = json_schemas(named, _REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Colobus", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "security": [{"keystone": []}, {"bearer": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "keystone": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A Keystone token, scoped to the tenant's project",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A static token of the tenants file",
    },
}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *map(_parameter, route.parameters)],
        "responses": _responses(route),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    if route.public:
        operation["security"] = []
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    string = {"type": "string"}
    return [{"name": name, "in": "path", "required": True, "schema": string} for name in names]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "schema": {"type": "array", "items": schema} if parameter.repeated else schema,
    }


def _responses(route: Route) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        success["content"] = {route.media_type: {"schema": _ref(route.answer)}}
    elif route.status == 200:
        kind = "object" if route.media_type == "application/json" else "string"
        success["content"] = {route.media_type: {"schema": {"type": kind}}}
    if route.streams:
        event = "Each `data` is a TimelineEvent, as JSON; `event` is `status` or `progress`."
        success["content"]["text/event-stream"] = {
            "schema": {"type": "string", "description": event}
        }
    if route.answer_headers:
        success["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in route.answer_headers.items()
        }
    others = {str(status): {"description": text} for status, text in _others(route).items()}
    faults = {str(status): _problem(_FAULTS[status]) for status in _fault_statuses(route)}
    return {str(route.status): success, **others, **faults}


def _others(route: Route) -> dict[int, str]:
    ended = {204: "The resource has ended and all was sent"} if route.streams else {}
    return {**route.other_answers, **ended}


def _fault_statuses(route: Route) -> list[int]:
    if route.public:
        return sorted({500, *route.faults})
    with_body = {408, 413, 415, 422} if route.body is not None else set()
    return sorted({400, 401, 403, 429, 500, 503, *with_body, *route.faults})


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref(Problem)}}
    return {"description": description, "content": content}


def _ref(kind: Any) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}
