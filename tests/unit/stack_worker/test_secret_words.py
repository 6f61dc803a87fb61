"""No word of Heat's quotes a secret, however it writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.stack_worker.secret_words import MASK, WITHHELD, Mask


def test_heats_words_are_told_without_the_secrets_that_they_quote() -> None:
    """Longest first, so that no half of one is left."""
    secrets = {"a": "hush", "b": "hush-hush", "c": 12345}
    words = "Value 'hush-hush' or hush or 12345 does not match."
    assert Mask(secrets)(words) == f"Value '{MASK}' or {MASK} or {MASK} does not match."


@pytest.mark.parametrize("secrets", [{}, {"a": "correct-horse"}, {"n": 7}, {"j": {"k": ["deep!"]}}])
def test_words_that_quote_nothing_are_told_as_they_are(secrets: dict[str, Any]) -> None:
    """Heat's own line is what helps."""
    words = "The Resource Type (OS::No::Such) could not be found."
    assert Mask(secrets)(words) == words


SECRET = 'it\'s "a\\b"\n\tübung-\u2028-secret'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        repr(SECRET),
        ascii(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(json.dumps({"key": SECRET})),
        json.dumps(repr(SECRET)),
        repr({"key": [SECRET]}),
    ],
)
@pytest.mark.parametrize("secret", [SECRET, {"key": [SECRET]}, json.dumps({"key": SECRET})])
def test_an_escaped_secret_is_known_for_one(written: str, secret: Any) -> None:
    """As Python and JSON write it, in a json parameter or alone."""
    told = Mask({"secret": secret})(f"Parameter 'secret' is invalid: {written} is not allowed.")
    assert "bung" not in told
    assert "secret-" not in told.replace("'secret'", "")


def test_a_long_secret_is_masked_whole_and_a_piece_of_one_withholds_the_words() -> None:
    """Whoever cuts the words may cut a secret in two."""
    secret = "".join(f"{number:04x}" for number in range(3000))
    mask = Mask({"secret": secret})
    assert mask(f"Bad value {secret}.") == f"Bad value {MASK}."
    assert mask(f"Bad value {secret[:1990]}") == WITHHELD
    assert mask(f"Bad value …{secret[5000:5010]}…") == WITHHELD


def test_of_very_large_secrets_no_words_are_told() -> None:
    """They would take too long to look through."""
    assert Mask({"secret": "x" * 200_000})("Anything.") == WITHHELD
    assert Mask({"secret": " ".join(map(str, range(1100)))})("Anything.") == WITHHELD


def test_a_list_in_one_text_is_masked_item_by_item() -> None:
    """Heat splits it, and quotes the item that it doesn't like."""
    assert Mask({"list": "first,second-one"})('"second-one" is no port.') == f'"{MASK}" is no port.'


@pytest.mark.parametrize("secret", ["x", 7, "7", {"deep": 7}])
def test_where_a_short_secret_stands_alone_no_words_are_told(secret: Any) -> None:
    """It can't be masked without masking half of all words."""
    mask = Mask({"secret": secret})
    assert mask(f"The value {secret if secret in ('x',) else 7} is out of range.") == WITHHELD
    assert mask("Fixed 1234567 of extra.") == "Fixed 1234567 of extra."


def test_a_secret_of_many_ways_to_be_written_costs_no_more_than_its_words() -> None:
    """Each escape doubles with each layer of writing; so much is looked for in vain."""
    assert Mask({"a": "\"\\'\n" * 25_000})("no quote of it") == WITHHELD
