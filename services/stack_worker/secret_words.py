"""Heat's words without the secrets that it quotes. Pure.

Heat quotes what it refuses: as it came, or as Python or JSON write it. Masking goes before any cut
of the words: half a secret is not known any more for one.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

#: What stands for a secret in Heat's words, as Heat itself writes it.
MASK = "******"
#: What is told where the words may still show a secret.
WITHHELD = "Heat refused it in words that quote a hidden parameter, and are not told for that."
#: What is told where nobody knows which secrets may be in them.
UNTOLD = "What Heat says may quote hidden parameters that can't be read any more, and is not told."
#: Shorter secrets are in every word: where they stand alone, no words are told.
_SHORTEST = 3
#: So long a piece of a secret is no chance.
_PIECE = 8
#: Of more secrets, or more characters of them, every word is in doubt: they would take too long.
_MOST, _MOST_WRITTEN = 128 * 1024, 512 * 1024
_MOST_LEAVES = 1000
_SEPARATORS = re.compile(r"[,\s]+")


def withheld(words: str) -> str:
    """Return no words, where nobody knows which secrets may be in them."""
    return UNTOLD if words else words


class Mask:
    """Tells words without ``secrets``: {parameter: value}, of any JSON type."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        self._secrets = secrets

    def __call__(self, words: str) -> str:
        """Return the words masked, or `WITHHELD` where a piece of a secret may be left in them."""
        if self._leaves is None or self._written is None:
            return WITHHELD
        for form in self._written:
            words = words.replace(form, MASK)
        left = any(one in self._pieces for one in _pieces(words))
        return WITHHELD if left or _has_word(words, self._short) else words

    @cached_property
    def _leaves(self) -> set[str] | None:
        """None: too many."""
        leaves = set(_leaves(self._secrets))
        # A list of Heat's may be one string, and is quoted item by item.
        leaves |= {part for one in leaves for part in _SEPARATORS.split(one) if part}
        too_many = sum(map(len, leaves)) > _MOST or len(leaves) > _MOST_LEAVES
        return None if too_many else leaves

    @cached_property
    def _written(self) -> list[str] | None:
        """All forms of them, the longest first; None: too many."""
        written: set[str] = set()
        size = 0
        for one in self._leaves or ():
            forms = _forms(one) - written if len(one) >= _SHORTEST else set()
            size += sum(map(len, forms))
            if size > _MOST_WRITTEN:
                return None
            written |= forms
        return sorted(written, key=len, reverse=True)

    @cached_property
    def _pieces(self) -> set[str]:
        return {one for form in self._written or () for one in _pieces(form)}

    @cached_property
    def _short(self) -> set[str]:
        return {one for one in self._leaves or () if len(one) < _SHORTEST}


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
