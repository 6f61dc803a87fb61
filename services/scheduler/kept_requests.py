"""What is kept of a request that was refused: enough to see what was wrong, and no secret. Pure.

Whoever reads the dead letters is not whoever asked. A secret may stand in the clear at its own
name, at a mistyped one or beside the place where it belongs; so values are kept of the names that
we know to have none, and of all others just the name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from services.scheduler.request_faults import is_sealed
from shared.contract.codec import Envelope
from shared.contract.kinds import KINDS, SEALED
from shared.contract.messages import RequestSubmitted

#: In the place of a value that is not kept.
LEFT_OUT = "(left out)"


def _names(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))


_SECRETS = frozenset(name for kind in KINDS.values() for name in kind.secrets)
_ATTRIBUTES = _names(Envelope)
_DATA = _names(RequestSubmitted) - {"labels", "spec"}
_SPEC = frozenset[str]().union(*(_names(kind.spec) for kind in KINDS.values())) - _SECRETS
_SEALED = frozenset(SEALED + name for name in _SECRETS)


def kept(body: bytes) -> bytes:
    """Return the refused message as it may lie in the dead letters, as JSON.

    Names are kept, values of known ones (a CloudEvent's attributes, a request's fields, a spec's),
    boxes that are sealed. Of what is no JSON object only length and SHA-256 are kept. It is always
    written anew: of a name that stood there twice, only the last value was looked at.
    """
    event = json_of(body)
    if not isinstance(event, dict):
        known = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        return msgspec.json.encode({"left_out": "no JSON object", **known})
    data = event.get("data")
    shown = _shown(event, _ATTRIBUTES)
    if isinstance(data, dict):
        shown["data"] = _shown(data, _DATA) | _nested(data)
    return msgspec.json.encode(shown)


def json_of(body: bytes) -> Any:
    """Return the JSON, or None for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _nested(data: Mapping[str, Any]) -> dict[str, Any]:
    """The two fields that are objects themselves, where they are."""
    found: dict[str, Any] = {}
    if isinstance(labels := data.get("labels"), dict):
        found["labels"] = _shown(labels, labels.keys())
    if isinstance(spec := data.get("spec"), dict):
        sealed = {name for name in _SEALED & spec.keys() if is_sealed(spec[name])}
        found["spec"] = _shown(spec, _SPEC | sealed)
    return found


def _shown(given: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    return {
        name: value if name in known and _is_plain(value) else LEFT_OUT
        for name, value in given.items()
    }


def _is_plain(value: Any) -> bool:
    """Whether nothing is in it under a name of its own."""
    if isinstance(value, list):
        return not any(isinstance(one, list | dict) for one in value)
    return not isinstance(value, dict)
