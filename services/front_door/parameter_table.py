"""The query parameters and headers that routes share, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from services.front_door.parameters import MAX_LIMIT
from services.front_door.route import Parameter
from shared.contract.resources import Phase

_TEXT: dict[str, Any] = {"type": "string"}
_PHASE: dict[str, Any] = {"type": "string", "examples": [str(Phase.ACTIVE)]}
_FLAG: dict[str, Any] = {"type": "boolean", "default": False}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}

KEY = Parameter("Idempotency-Key", "header", "1-255 printable ASCII characters: safe to repeat")
WAIT = Parameter("Prefer", "header", "`wait=N`: answer after up to N (60) seconds")
TRACE = Parameter("traceparent", "header", "W3C Trace Context; its trace id names the request")
IF_NONE_MATCH = Parameter("If-None-Match", "header", "an ETag: 304 while it is the newest")
IF_MATCH = Parameter("If-Match", "header", "an ETag: 412 when it is not the newest")
FORCE = Parameter("force", "query", "`true`: at once, even from under who uses it", _FLAG)
LAST_EVENT_ID = Parameter("Last-Event-ID", "header", "go on after the event of this id")
PAGE = (
    Parameter("limit", "query", "page size", _NUMBER),
    Parameter("cursor", "query", "`next` of the page before", _TEXT),
)
FILTERS = (
    Parameter("phase", "query", "these (repeated, or a,b); none: all but deleted", _PHASE, True),
    Parameter("label", "query", "`key=value`; all of them must be there", _TEXT, True),
    Parameter("name", "query", "the exact name", _TEXT),
    *PAGE,
)
ETAG = {"ETag": "the resource's revision"}
LOCATION = {"Location": "where it is"}
LINK = {"Link": "the next page (rel=next)"}
