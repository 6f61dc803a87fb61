"""The operator's YAML files: read strictly, and every fault of them with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

T = TypeVar("T")


class UnreadableFile(ValueError):
    """The file can't be read, or isn't YAML; ``fault`` says why, in one line."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key written twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                mark = key.start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is written twice", mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return the document; raises `UnreadableFile`."""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableFile(" ".join(str(error).split())) from error


def entry_of(raw: Any, kind: type[T], place: str, faults: list[str]) -> T | None:
    """Return ``raw`` as a ``kind``; else None, and its fault with its place among ``faults``."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_custom)
    except msgspec.ValidationError as error:
        fault, _, where = str(error).partition(" - at `")
        faults.append(f"{place}{where.removeprefix('$').rstrip('`')}: {fault}")
        return None


def _custom(wanted: type, value: Any) -> Any:
    """A path is written as text."""
    if wanted is not Path or not isinstance(value, str) or not value:
        raise ValueError(f"expected a {wanted.__name__.lower()}")
    return Path(value)
