"""Ports: one range per cloud, never another's."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from devcloud import ports
from devcloud.ports import FIRST_BASE, HOST, OFFSETS, SPAN, NoFreePorts, Ports, claim, pick_base


def test_offsets_differ_and_fit_into_the_span() -> None:
    """No two listeners share a port, and no range reaches into the next."""
    assert len(set(OFFSETS.values())) == len(OFFSETS)
    assert max(OFFSETS.values()) < SPAN


def test_the_first_range_is_taken_when_all_is_free() -> None:
    """The usual case gives the documented ports."""
    assert pick_base([], free=lambda port: True) == FIRST_BASE


def test_a_range_with_one_port_in_use_is_passed_over() -> None:
    """Another program on any of our ports moves the whole cloud."""
    used = FIRST_BASE + OFFSETS["keystone"]
    assert pick_base([], free=lambda port: port != used) == FIRST_BASE + SPAN


def test_a_range_claimed_by_a_cloud_that_is_down_is_passed_over() -> None:
    """Its ports look free now and won't later."""
    assert pick_base([FIRST_BASE], free=lambda port: True) == FIRST_BASE + SPAN


def test_no_free_range_is_an_error() -> None:
    """Rather none than another's."""
    with pytest.raises(NoFreePorts):
        pick_base([], free=lambda port: False)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    """The check asks the kernel."""
    with socket.create_server((HOST, 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_two_clouds_with_one_cache_get_different_ranges_and_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim outlives the process that made it."""
    monkeypatch.setattr(ports.pick_base, "__defaults__", (lambda port: True,))
    one, two, cache = tmp_path / "one", tmp_path / "two", tmp_path / "cache"
    one.mkdir()
    two.mkdir()
    first, second = claim(one, cache), claim(two, cache)
    assert first.base != second.base
    assert (claim(one, cache), claim(two, cache)) == (first, second)


def test_the_range_of_a_removed_cloud_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim whose cloud is gone binds nobody."""
    monkeypatch.setattr(ports.pick_base, "__defaults__", (lambda port: True,))
    one, two, cache = tmp_path / "one", tmp_path / "two", tmp_path / "cache"
    one.mkdir()
    two.mkdir()
    first = claim(one, cache)
    (one / "ports.json").unlink()
    assert claim(two, cache) == first
    assert json.loads((two / "ports.json").read_text()) == {"base": first.base}


def test_a_listener_has_a_url() -> None:
    """Addresses are built in one place."""
    url = f"http://127.0.0.1:{21_000 + OFFSETS['keystone']}/v3"
    assert Ports(21_000).url("keystone", "/v3") == url
