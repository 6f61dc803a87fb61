"""Query parameters and headers → typed values; what is absurd is a 400 that names the parameter."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from aiohttp import web

from services.front_door.faults import bad_parameter
from shared.contract.kinds import KINDS, LabelKey, LabelValue, Name
from shared.contract.resources import Phase

MAX_LIMIT = 500
DEFAULT_LIMIT = 100
#: The longest wait that ``Prefer: wait`` gets, in seconds.
MAX_WAIT = 60
#: Positions and revisions are PostgreSQL bigints.
MAX_BIGINT = 2**63 - 1

_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_RESOURCE_ID = re.compile(rf"(?:{'|'.join(map(re.escape, KINDS))})-[0-7][0-9a-hjkmnp-tv-z]{{25}}")


@dataclass(frozen=True)
class ResourceFilter:
    """Which resources a list shows: ``after`` is the id that the page before ended with."""

    kind: str | None
    phases: tuple[Phase, ...]
    labels: dict[str, str]
    name: str | None
    limit: int
    after: str | None


def only(request: web.Request, *names: str) -> None:
    """Refuse query parameters that the route doesn't have, such as mistyped ones."""
    for name in request.query:
        if name not in names:
            raise bad_parameter(name[:100], "There is no such parameter.")


def resource_filter(request: web.Request, kind: str | None) -> ResourceFilter:
    """Return what ``?phase=&label=&name=&limit=&cursor=`` ask for.

    Without ``phase`` everything but deleted resources is shown.
    """
    only(request, "phase", "label", "name", "limit", "cursor")
    return ResourceFilter(
        kind=kind,
        phases=_phases(request) or tuple(phase for phase in Phase if phase is not Phase.DELETED),
        labels=dict(_label(text) for text in request.query.getall("label", [])),
        name=_typed(single(request, "name"), Name, "name"),
        limit=limit(request),
        after=resource_cursor(request),
    )


def single(request: web.Request, name: str) -> str | None:
    """Return the value of a parameter that may be given once."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise bad_parameter(name, "It may be given once only.")
    return values[0] if values else None


def limit(request: web.Request) -> int:
    """Return the page size: 1 to 500, 100 when not given."""
    text = single(request, "limit")
    if text is None:
        return DEFAULT_LIMIT
    number = whole_number(text, "limit")
    if not 1 <= number <= MAX_LIMIT:
        raise bad_parameter("limit", f"It must be from 1 to {MAX_LIMIT}.")
    return number


def flag(request: web.Request, name: str) -> bool:
    """Return whether ``?<name>=true`` is given; without it, or with ``false``, it isn't."""
    text = single(request, name)
    if text not in (None, "true", "false"):
        raise bad_parameter(name, "It must be true or false.")
    return text == "true"


def whole_number(text: str, name: str) -> int:
    """Return a number from 0 to 2^63 - 1."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_BIGINT:
        raise bad_parameter(name, "It must be a whole number.")
    return int(text)


def resource_cursor(request: web.Request) -> str | None:
    """Return the resource id that ``cursor`` stands for."""
    text = _cursor(request)
    if text is not None and not _RESOURCE_ID.fullmatch(text):
        raise bad_parameter("cursor", "It is not a cursor of this list.")
    return text


def number_cursor(request: web.Request) -> int:
    """Return the position that ``cursor`` stands for; 0 when not given."""
    text = _cursor(request)
    if text is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_BIGINT:
        raise bad_parameter("cursor", "It is not a cursor of this list.")
    return int(text)


def make_cursor(last: str | int) -> str:
    """Return the opaque cursor that continues after ``last``."""
    return base64.urlsafe_b64encode(f"1:{last}".encode()).decode().rstrip("=")


def _cursor(request: web.Request) -> str | None:
    text = single(request, "cursor")
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        version, _, last = base64.b64decode(padded, b"-_", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError) as error:
        raise bad_parameter("cursor", "It is not a cursor of this list.") from error
    if version != "1" or make_cursor(last) != text:
        raise bad_parameter("cursor", "It is not a cursor of this list.")
    return last


def _phases(request: web.Request) -> tuple[Phase, ...]:
    words = [word for text in request.query.getall("phase", []) for word in text.split(",")]
    if not set(words) <= set(Phase):
        raise bad_parameter("phase", f"It must be one of {', '.join(Phase)}, or several of them.")
    return tuple(sorted({Phase(word) for word in words}))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise bad_parameter("label", "It must be of the form key=value.")
    _typed(key, LabelKey, "label")
    _typed(value, LabelValue, "label")
    return key, value


def _typed(value: str | None, wanted: object, name: str) -> str | None:
    if value is not None:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            raise bad_parameter(name, str(error)) from error
    return value


def prefer_wait(request: web.Request) -> timedelta | None:
    """Return how long ``Prefer: wait=N`` asks to wait, at most 60 s (RFC 7240 §4.3).

    What can't be understood is ignored, as the RFC wants.
    """
    found = _WAIT.search(",".join(request.headers.getall("Prefer", [])))
    return timedelta(seconds=min(int(found[1]), MAX_WAIT)) if found else None


def idempotency_key(request: web.Request) -> str | None:
    """Return the Idempotency-Key: 1 to 255 printable ASCII characters."""
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise bad_parameter("Idempotency-Key", "It must be 1 to 255 printable ASCII characters.")
    return values[0]


def entity_tag(revision: int) -> str:
    """Return the strong ETag of a resource's revision (RFC 9110 §8.8.3)."""
    return f'"{revision}"'


def tag_matches(header: str | None, tag: str) -> bool:
    """Tell whether an If-Match or If-None-Match value names ``tag`` (weak comparison)."""
    if header is None:
        return False
    tags = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in tags or tag in tags
