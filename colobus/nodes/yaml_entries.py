"""YAML that people write: read strictly, and every fault of it told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

T = TypeVar("T", bound=msgspec.Struct)


class UnreadableFile(ValueError):
    """The file can't be read, or isn't YAML; the text says why, in one line.

    It may quote the file; ``discreet`` doesn't.
    """

    def __init__(self, fault: str, discreet: str) -> None:
        super().__init__(fault)
        self.discreet = discreet


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key written twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                fault = f"key {key.value!r} is written twice"
                raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return the document; raises `UnreadableFile`."""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except OSError as error:
        fault = f"can't be read: {error.strerror}"
        raise UnreadableFile(fault, fault) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UnreadableFile(" ".join(str(error).split()), f"isn't YAML{where}") from error


def struct_of(raw: object, kind: type[T], place: str, faults: list[str]) -> T | None:
    """Return a mapping as a ``kind``; else None, and all its faults with their places.

    msgspec stops at the first fault, so each field is read by itself.
    """
    if not isinstance(raw, dict):
        faults.append(f"{place}: expected a mapping")
        return None
    before, values = len(faults), {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    faults += [f"{place}.{key}: unknown key" for key in raw if key not in fields]
    for name, field in fields.items():
        if name in raw:
            try:
                values[field.name] = msgspec.convert(raw[name], field.type)
            except msgspec.ValidationError as error:
                faults.append(_placed(f"{place}.{name}", error))
        elif field.required:
            faults.append(f"{place}.{name} is missing")
    return kind(**values) if len(faults) == before else None


def _placed(place: str, error: msgspec.ValidationError) -> str:
    fault, _, where = str(error).partition(" - at `")
    return f"{place}{where.removeprefix('$').rstrip('`')}: {fault}"
