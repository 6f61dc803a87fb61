"""A request's body → a typed struct, or the fault that says all that is wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from services.front_door.faults import RequestFault, bad_fields
from shared.contract.field_errors import MAX_ERRORS, field_errors, pointer
from shared.contract.http import MAX_BODY
from shared.contract.problems import FieldError

#: How long a body may take to arrive, in seconds.
BODY_SECONDS = 30

_S = TypeVar("_S", bound=msgspec.Struct)
#: Looks at a body that is an object, and returns what is wrong with it.
Check = Callable[[dict[str, Any]], Awaitable[Sequence[FieldError]]]


async def read_body(request: web.Request, wanted: type[_S], check: Check | None = None) -> _S:
    """Return the request's JSON body as ``wanted``.

    ``check`` finds faults that types can't tell, in the body as it came. Raises `RequestFault`: 400
    (not JSON), 408, 413, 415 or 422 (with a pointer to every bad field).
    """
    _check_media_type(request)
    body = await _read(request)
    value = _parse(body)
    if _has_duplicates(body, value):
        raise bad_fields(list(islice(_duplicates(body), MAX_ERRORS)))
    more = await check(value) if check and isinstance(value, dict) else []
    try:
        decoded = msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise bad_fields([*field_errors(value, wanted), *more]) from error
    if more:
        raise bad_fields(more)
    return decoded


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


async def read_optional_body(request: web.Request, wanted: type[_S]) -> _S:
    """Return the body as `read_body` does, or ``wanted()`` when there is none."""
    return await read_body(request, wanted) if request.can_read_body else wanted()


async def read_no_body(request: web.Request) -> None:
    """Refuse a body that says anything, for nobody would read it; ``{}`` is fine."""
    await read_optional_body(request, _Nothing)


def _check_media_type(request: web.Request) -> None:
    headers = request.headers
    if headers.get("Content-Type") == "application/json" and "Content-Encoding" not in headers:
        return  # as nearly always; what follows takes headers apart
    charset = (request.charset or "utf-8").lower()
    coding = headers.get("Content-Encoding", "identity").lower()
    if request.content_type != "application/json" or "Content-Type" not in headers:
        detail = "The body must be application/json."
    elif charset not in ("utf-8", "utf8"):
        detail = "The body must be UTF-8 (RFC 8259 §8.1)."
    elif coding != "identity":
        detail = "The body must not be compressed."
    else:
        return
    accepted = {"Accept": "application/json"}
    raise RequestFault(415, "unsupported_media_type", detail, headers=accepted)


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise too_large()
    if request.content.is_eof():  # it came with the head, as small ones do
        return await request.read()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large() from error
    except TimeoutError as error:
        raise RequestFault(408, "body_timeout", "The body did not arrive in time.") from error


def too_large() -> RequestFault:
    """The body is larger than is taken (413)."""
    return RequestFault(413, "body_too_large", f"The body is larger than {MAX_BODY} bytes.")


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise RequestFault(400, "bad_json", "The body is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestFault(400, "bad_json", f"The body is not JSON: {error}") from error


class _Twice(Exception):
    """A name comes twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _Twice


_check_unique = json.JSONDecoder(object_pairs_hook=_unique).decode


def _names(value: Any) -> int:
    """Return how many names there are in all objects of a value."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) else 0


def _has_duplicates(body: bytes, value: Any) -> bool:
    """Tell whether `_duplicates` would find any, at a fraction of its cost.

    Most bodies have no colon but those behind names: where there are as many as names were read,
    none came twice.
    """
    try:
        if body.count(b":") == _names(value):
            return False
        _check_unique(body.decode())
    except _Twice:
        return True
    except (RecursionError, ValueError) as error:
        raise RequestFault(400, "bad_json", f"The body is not JSON: {error}") from error
    return False


class _Members(dict[str, Any]):
    """An object of JSON that remembers which of its names came more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.repeated = {name for name, count in counts.items() if count > 1}


def _duplicates(body: bytes) -> Iterator[FieldError]:
    """Names that come twice in one object: parsers disagree on which counts (RFC 8259 §4)."""
    tree = json.loads(body.decode(), object_pairs_hook=_Members)
    open_values: list[tuple[str, Any]] = [("", tree)]
    while open_values:
        at, value = open_values.pop()
        if isinstance(value, _Members):
            for name in sorted(value.repeated):
                yield FieldError(detail="This field is given twice.", pointer=at + pointer(name))
            open_values += [(at + pointer(name), item) for name, item in value.items()]
        elif isinstance(value, list):
            open_values += [(at + pointer(index), item) for index, item in enumerate(value)]
