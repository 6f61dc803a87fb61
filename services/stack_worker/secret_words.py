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
#: Of more secrets, or more characters of them, every word is in doubt: they would take too long.
_MOST = 128 * 1024
_MOST_LEAVES = 1000
_SEPARATORS = re.compile(r"[,\s]+")


def withheld(words: str) -> str:
    """Return no words, where nobody knows which secrets may be in them."""
    return WITHHELD if words else words


class Mask:
    """Tells words without ``secrets``: {parameter: value}, of any JSON type."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        self._secrets = secrets

    def __call__(self, words: str) -> str:
        """Return the words masked, or `WITHHELD` where a piece of a secret may be left in them."""
        leaves = set(_leaves(self._secrets))
        # A list of Heat's may be one string, and is quoted item by item.
        leaves |= {part for one in leaves for part in _SEPARATORS.split(one) if part}
        if sum(map(len, leaves)) > _MOST or len(leaves) > _MOST_LEAVES:
            return WITHHELD
        written = {form for one in leaves for form in _forms(one) if len(one) >= _SHORTEST}
        for form in sorted(written, key=len, reverse=True):
            words = words.replace(form, MASK)
        short = {one for one in leaves if len(one) < _SHORTEST}
        return WITHHELD if _has_piece(words, written) or _has_word(words, short) else words


def _has_piece(words: str, written: set[str]) -> bool:
    pieces = {one for form in written for one in _pieces(form)}
    return any(one in pieces for one in _pieces(words))


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(len(text) - _PIECE + 1))


def _has_word(words: str, short: set[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", words) for one in short)


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
