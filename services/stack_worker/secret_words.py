"""Heat's words without the secrets that it quotes. Pure.

Heat quotes what it refuses: as it came, or as Python or JSON write it. Masking goes before any cut
of the words: half a secret is not known any more for one.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: What stands for a secret in Heat's words, as Heat itself writes it.
MASK = "******"
#: What is told where the words may still show a secret.
WITHHELD = "Heat refused it in words that quote a hidden parameter, and are not told for that."
#: Shorter secrets are in every word: where they stand alone, no words are told.
_SHORTEST = 3
#: So long a piece of a secret is no chance.
_PIECE = 8
_SEPARATORS = re.compile(r"[,\s]+")


class Mask:
    """Tells words without ``secrets``: {parameter: value}, of any JSON type."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        leaves = set(_leaves(secrets))
        # A list of Heat's may be one string, and is quoted item by item.
        parts = {part for one in leaves for part in _SEPARATORS.split(one) if part}
        written = {form for one in leaves | parts for form in _forms(one)}
        self._long = sorted((one for one in written if len(one) >= _SHORTEST), key=len)[::-1]
        self._short = {one for one in leaves | parts if len(one) < _SHORTEST}
        self._pieces = {
            one[start : start + _PIECE]
            for one in self._long
            for start in range(len(one) - _PIECE + 1)
        }

    def __call__(self, words: str) -> str:
        """Return the words masked, or `WITHHELD` where a piece of a secret may be left in them."""
        for one in self._long:
            words = words.replace(one, MASK)
        return WITHHELD if self._may_show(words) else words

    def _may_show(self, words: str) -> bool:
        pieces = (words[at : at + _PIECE] for at in range(len(words) - _PIECE + 1))
        return any(piece in self._pieces for piece in pieces) or any(
            re.search(rf"(?<!\w){re.escape(one)}(?!\w)", words) for one in self._short
        )


def _leaves(value: Any) -> Iterator[str]:
    """All texts and numbers in it, as texts; those in a text that is JSON, too."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str):
        if value:
            yield value
        if value.lstrip()[:1] in ("{", "["):
            yield from _leaves(_read(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _forms(text: str) -> set[str]:
    """The ways in which it may be written: plain, escaped, and escaped once more."""
    once = _escaped(text)
    return once | {form for one in once for form in _escaped(one)}


def _escaped(text: str) -> set[str]:
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        repr(text)[1:-1].replace("'", "\\'"),
        ascii(text)[1:-1],
        html.escape(text),
    }
