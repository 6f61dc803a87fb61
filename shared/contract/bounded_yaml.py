"""YAML from strangers: read within bounds, as JSON could have said it. Pure.

Aliases multiply, merges of them too, and libyaml's own stack overflows where documents are nested
too deeply, which ends the process. Dates stay texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

#: Bounds of what is read; whoever reads deeper than this fails.
_MOST_VALUES = 200_000
_MOST_ENTRIES = 10_000
_DEEPEST = 100
_PLAIN = (str, int, float, type(None))


class Unbounded(ValueError):
    """It is too large, or nested too deeply."""


class NotPlain(ValueError):
    """It holds what JSON has not; the text is the type's name, or "key that is no text"."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Dates stay texts, and merges of aliases are bounded."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge, within bounds."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_ENTRIES:
            raise yaml.constructor.ConstructorError(
                None, None, "more entries than may be merged", node.start_mark
            )


Loader.add_constructor(
    "tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node)
)


def load(text: str) -> Any:
    """Return the one document; raises `Unbounded`, or `ValueError` or `yaml.YAMLError`."""
    _check_depth(text)
    return yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader


def load_all(text: str, most: int) -> list[Any]:
    """Return all documents, of which there may be ``most``; raises as `load` does."""
    _check_depth(text)
    found: list[Any] = []
    documents: Iterable[Any] = yaml.load_all(text, Loader=Loader)
    for document in documents:
        found.append(document)
        if len(found) > most:
            raise Unbounded
    return found


def check_bounds(found: Any, keys: tuple[type, ...] = (str, int, float)) -> None:
    """Raise `Unbounded` or `NotPlain` unless it is a JSON value of a size that can be looked at.

    ``keys`` are what its keys may be; JSON makes texts of numbers.
    """
    waiting, seen = [(found, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES or depth > _DEEPEST:
            raise Unbounded
        if isinstance(value, Mapping):
            if not all(isinstance(key, keys) for key in value):
                raise NotPlain("key that is no text")
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        elif not isinstance(value, _PLAIN):
            raise NotPlain(type(value).__name__)


def _check_depth(text: str) -> None:
    """Before it is composed."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Unbounded
