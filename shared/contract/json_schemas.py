"""The contract's types as JSON Schema, for the documents that are published.

What grows is published as open: who makes types of a document must not fail on a word that a newer
server says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.contract.problems import OpenEnum


def json_schemas(types: Iterable[type], ref_template: str) -> dict[str, Any]:
    """Return the components for ``types`` and all that they mention, by their names.

    ``ref_template`` is where they will be, with ``{name}`` in it.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template=ref_template)
    return schemas | {
        kind.__name__: _opened(schemas[kind.__name__])
        for kind in OpenEnum.__subclasses__()
        if kind.__name__ in schemas
    }


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    """The known words stand in it for readers and generators; any other is valid, too."""
    words = schema["enum"]
    rest = {key: value for key, value in schema.items() if key != "enum"}
    return {**rest, "anyOf": [{"enum": words}, {"type": "string"}]}
