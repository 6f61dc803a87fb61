"""Random passwords of one cloud, made when first asked for and kept with mode 0600."""

from __future__ import annotations

import json
import os
import secrets
import threading
from pathlib import Path


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Replace a file at once, readable by its owner only.

    Args:
        path: The file.
        text: Its whole new content.
        owner: User and group id that shall own it, when not the caller.
    """
    # Threads that write the same file at once must not share the unfinished one.
    partial = path.with_name(f"{path.name}.{threading.get_ident()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        if owner is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), *owner)
        file.write(text)
    partial.replace(path)


class Credentials:
    """Named secrets. They are hexadecimal: safe in a URL, an ini file, SQL and a shell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return the secret of that name, made and written down on first use."""
        with self._lock:
            if name not in self._known:
                self._known = self._read()
            if name not in self._known:
                self._known[name] = secrets.token_hex(20)
                write_private(self._path, json.dumps(self._known, indent=1, sort_keys=True) + "\n")
            return self._known[name]

    def _read(self) -> dict[str, str]:
        try:
            stored: dict[str, str] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return stored
