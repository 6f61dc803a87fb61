"""Every fault of a JSON value against a msgspec type, each with the JSON Pointer of its field.

msgspec itself stops at the first fault; a user wants to mend all of them at once. The front door
says so of bodies, the scheduler of requests from the bus. A rule over several fields is a struct's
``__post_init__``; its fault is told of each field that the rule's own text names. Pure.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from shared.contract.problems import FieldError

#: More faults than this are not told.
MAX_ERRORS = 100


def field_errors(value: Any, wanted: Any, at: str = "") -> list[FieldError]:
    """Return the faults of ``value`` (plain JSON types) against ``wanted``.

    ``at`` is the pointer of ``value`` itself within what was sent.
    """
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return list(islice(_walk(value, wanted, at), MAX_ERRORS))
    return []


def pointer(*tokens: str | int) -> str:
    """Return the JSON Pointer of these tokens (RFC 6901 §3); overlong names are cut."""
    escaped = (str(token)[:200].replace("~", "~0").replace("/", "~1") for token in tokens)
    return "".join(f"/{token}" for token in escaped)


def _walk(value: Any, hint: Any, at: str) -> Iterator[FieldError]:
    inner = list(islice(_children(value, _plain(hint), at), MAX_ERRORS))
    if inner:
        yield from inner
        return
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        # What is below is good, so the fault is here and msgspec's own path says nothing more.
        detail = str(error).split(" - at `")[0]
        is_rule = isinstance(error.__cause__, ValueError)
        for place in (_named(detail, _plain(hint), at) if is_rule else ()) or (at,):
            yield FieldError(detail=detail, pointer=place)


def _named(rule: str, struct: Any, at: str) -> list[str]:
    """The places of the fields that the text of a struct's rule names."""
    words = set(re.findall(r"\w+", rule))
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    return [at + pointer(name) for name in names if name in words]


def _children(value: Any, plain: Any, at: str) -> Iterator[FieldError]:
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
        yield from _members(value, plain, at)
    elif get_origin(plain) in (tuple, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, get_args(plain)[0], at + pointer(index))
    elif get_origin(plain) is dict and isinstance(value, dict):
        key_hint, item_hint = get_args(plain)
        for key, item in value.items():
            yield from _walk(key, key_hint, at + pointer(key))
            yield from _walk(item, item_hint, at + pointer(key))


def _members(value: dict[str, Any], struct: type[msgspec.Struct], at: str) -> Iterator[FieldError]:
    hints = get_type_hints(struct, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in value:
        if name not in fields and struct.__struct_config__.forbid_unknown_fields:
            yield FieldError(detail="There is no such field.", pointer=at + pointer(name))
    for name, field in fields.items():
        if name in value:
            yield from _walk(value[name], hints[field.name], at + pointer(name))
        elif field.required:
            yield FieldError(detail="This field is required.", pointer=at + pointer(name))


def _plain(hint: Any) -> Any:
    """``hint`` without Annotated and without the None of an optional field."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        rest = [part for part in get_args(hint) if part is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else hint
    return hint
