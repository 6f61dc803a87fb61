"""Callback URLs at the door: what a name leads to counts as much as its form."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from services.front_door.callback_urls import CallbackUrls


def _resolving(answer: Sequence[str] | BaseException, *allowed: str) -> CallbackUrls:
    async def resolve(_: str) -> Sequence[str]:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return CallbackUrls(allowed, resolve=resolve)


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        (["93.184.215.14"], True),
        (["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"], True),
        (["10.0.0.7"], False),
        (["93.184.215.14", "127.0.0.1"], False),
        (["::1"], False),
        (["fe80::1%eth0"], False),
        (["192.168.7.1"], True),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (TimeoutError(), True),
    ],
)
async def test_a_name_is_judged_by_all_its_addresses(
    answer: Sequence[str] | BaseException, fine: bool
) -> None:
    """One bad address is enough; a name server that fails is no reason to refuse."""
    urls = _resolving(answer, "192.168.7.0/24")
    faults = await urls.faults("https://ci.example.org/hook", "/callback_url")
    assert (faults == []) is fine
    assert all(fault.pointer == "/callback_url" for fault in faults)


@pytest.mark.parametrize("url", ["gopher://x", "http://10.1.1.1/", "http://u@example.org/", "x"])
async def test_a_bad_form_is_refused_without_asking(url: str) -> None:
    """Nothing is resolved for it."""
    urls = _resolving(AssertionError("asked"))
    assert len(await urls.faults(url, "/url")) == 1


async def test_what_is_no_text_is_left_to_the_types() -> None:
    """Its type is wrong, and the body's check says so."""
    assert await _resolving([]).faults(5, "/url") == []
    assert await _resolving([]).faults(None, "/url") == []
