"""Parameters and headers: what is understood, and as what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from services.front_door import parameters
from services.front_door.faults import RequestFault
from shared.contract.identifiers import new_id


@pytest.mark.parametrize(
    ("query", "said"),
    [("", False), ("?force=false", False), ("?force=true", True), ("?other=true", False)],
)
def test_a_flag_is_true_when_it_says_so(query: str, said: bool) -> None:
    """Not when it is absent."""
    assert parameters.flag(make_mocked_request("DELETE", f"/{query}"), "force") is said


@pytest.mark.parametrize("query", ["?force", "?force=1", "?force=True", "?force=true&force=true"])
def test_a_flag_is_nothing_but_true_or_false(query: str) -> None:
    """Whoever writes something else may mean either."""
    with pytest.raises(RequestFault, match="force"):
        parameters.flag(make_mocked_request("DELETE", f"/{query}"), "force")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar", 10),
        ('Wait = "7"', 7),
        ("wait=600", 60),
        ("wait=0", 0),
        ("await=5", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait=1.5", None),
        ("", None),
    ],
)
def test_prefer_wait_is_read_as_its_rfc_says(header: str, seconds: int | None) -> None:
    """RFC 7240: at most a minute here, and what can't be understood is ignored."""
    request = make_mocked_request("GET", "/", headers={"Prefer": header})
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parameters.prefer_wait(request) == expected


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"3"', True),
        ('W/"3"', True),
        ('"2", "3"', True),
        ("*", True),
        ('"33"', False),
        ("3", False),
        (None, False),
    ],
)
def test_entity_tags_are_compared_weakly(header: str | None, matches: bool) -> None:
    """RFC 9110 §8.8.3.2, as If-None-Match does it."""
    assert parameters.tag_matches(header, parameters.entity_tag(3)) is matches


def test_a_cursor_leads_back_to_what_it_was_made_of() -> None:
    """What was handed out is understood, for ids and for positions."""
    resource_id = new_id("vm")
    request = make_mocked_request("GET", f"/?cursor={parameters.make_cursor(resource_id)}")
    assert parameters.resource_cursor(request) == resource_id
    request = make_mocked_request("GET", f"/?cursor={parameters.make_cursor(17)}")
    assert parameters.number_cursor(request) == 17


@given(st.text(st.characters(codec="ascii", exclude_characters="&#+%"), max_size=60))
def test_no_other_text_is_a_cursor(text: str) -> None:
    """Whatever is not refused is a position that we could have handed out."""
    request = make_mocked_request("GET", "/").clone(rel_url=f"/?cursor={text}")
    try:
        position = parameters.number_cursor(request)
    except RequestFault:
        return
    assert parameters.make_cursor(position) == request.query["cursor"]
