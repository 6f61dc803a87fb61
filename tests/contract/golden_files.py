"""The golden files: one CloudEvent per message, with every field filled, as it is on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(name: str) -> dict[str, Any]:
    """The CloudEvent of this message."""
    event: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return event


def as_bytes(event: dict[str, Any]) -> bytes:
    """The event as some other program would send it."""
    return json.dumps(event).encode()
