"""Answers: JSON, and problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from services.front_door.parameters import entity_tag
from services.front_door.read_model import Shown
from shared.contract.problems import Problem


def json_answer(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return ``body`` as JSON; bytes are JSON already."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(
        status=status, body=encoded, content_type="application/json", headers=headers
    )


def resource_answer(
    shown: Shown, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a resource as it is served, with its ETag."""
    tagged = {"ETag": entity_tag(shown.revision), **(headers or {})}
    return json_answer(shown.document.encode(), status=status, headers=tagged)


def secret_answer(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return JSON with a secret in it, which no cache may keep."""
    return json_answer(
        body, status=status, headers={"Cache-Control": "no-store", **(headers or {})}
    )


def problem_answer(
    problem: Problem, *, instance: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a problem document; ``problem.status`` is the answer's status."""
    body = msgspec.json.encode(msgspec.structs.replace(problem, instance=instance))
    return web.Response(
        status=problem.status or 500,
        body=body,
        content_type="application/problem+json",
        headers=headers,
    )
