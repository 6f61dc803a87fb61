"""The catalog: templates that are asked for by their name. What ships, and the operator's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.contract.problems import Reason
from shared.runtime.errors import ConfigurationError
from shared.worker.errors import NotFound

#: What ships with Colobus.
SHIPPED = Path(__file__).with_name("catalog")


class Templates:
    """Templates by name; read once, at the start."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)

    @classmethod
    def load(cls, own: Path | None = None) -> Templates:
        """Read what ships and what ``own`` has; of two of one name the operator's counts.

        Raises `ConfigurationError` when the folder can't be read.
        """
        texts: dict[str, str] = {}
        for folder in (SHIPPED, own):
            if folder is None:
                continue
            if not folder.is_dir():
                raise ConfigurationError(f"templates folder: {folder} is no folder")
            texts |= {one.stem: one.read_text("utf-8") for one in sorted(folder.glob("*.yaml"))}
        return cls(texts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(sorted(self._texts))

    def text(self, name: str) -> str:
        """Return the template; `NotFound` (template_not_found) names those that there are."""
        try:
            return self._texts[name]
        except KeyError:
            known = ", ".join(self.names)
            detail = f"No template is called {name!r}; there are: {known}."
            raise NotFound(detail, reason=Reason.TEMPLATE_NOT_FOUND) from None
