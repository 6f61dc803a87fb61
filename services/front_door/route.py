"""What the table of routes is made of: enough to serve a route and to describe it in OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Parameter:
    """A query parameter or header; ``schema`` is JSON Schema, ``repeated`` ones may come again."""

    name: str
    where: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    repeated: bool = False


@dataclass(frozen=True)
class Route:
    """One method of one path.

    ``body`` and ``answer`` are types of the contract; ``body_optional`` when it may be left out;
    ``status`` is that of success; ``faults`` are the 4xx statuses it knows besides those of all;
    ``public`` routes need no credentials, ``writes`` ask for more than the reader's role.
    """

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    tag: str
    body: Any = None
    body_optional: bool = False
    answer: Any = None
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    answer_headers: dict[str, str] = field(default_factory=dict)
    faults: tuple[int, ...] = ()
    other_answers: dict[int, str] = field(default_factory=dict)
    media_type: str = "application/json"
    streams: bool = False
    public: bool = False
    writes: bool = False
