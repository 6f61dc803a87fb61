"""What is lost, slow or silent is told; what comes through is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.probes import Passages, Probe, Ways
from tests.faults.watch import Pause
from tests.support.conditions import eventually


def _wrong(passages: Passages, bound: float = 30) -> str:
    return "; ".join(passages.wrong(bound))


def test_what_comes_through_in_time_is_right() -> None:
    """Whichever way round they are told."""
    passages = Passages(100, sent={"a": 100, "b": 101}, told={"b": 102, "a": 110}, until=110)
    assert (passages.slowest, passages.silence, passages.lost) == (10, 8, [])
    assert _wrong(passages) == ""


def test_what_is_lost_is_named_and_counts_to_the_end() -> None:
    """It was waited for all the while."""
    passages = Passages(100, sent={"a": 100, "b": 104}, told={"b": 105}, until=140)
    assert (passages.lost, passages.slowest, passages.silence) == (["a"], 40, 35)
    assert "1 of 2 were never told of: ['a']" in _wrong(passages, bound=1000)
    assert str(passages) == "40.0 s at most, none came for 35.0 s (1 of 2 told)"


def test_one_that_took_long_is_an_outage_although_others_came_through() -> None:
    """Such as what a killed replica had in hand."""
    told = {str(n): n + 0.5 for n in range(100)} | {"0": 50.0}
    passages = Passages(0, sent={str(n): n for n in range(100)}, told=told, until=100)
    assert passages.silence < 2
    assert _wrong(passages) == "one took 50.0 s"


def test_a_pause_of_all_is_told_wherever_it_was() -> None:
    """At the beginning, between two, and at the end."""
    for told, until in (({"a": 31.0}, 31), ({"a": 1.0, "b": 32.0}, 32), ({"a": 1.0}, 32)):
        sent = {name: at - 1 for name, at in told.items()}
        passages = Passages(0, sent=sent, told=told, until=until)
        assert _wrong(passages) == "for 31.0 s none came through"


def test_while_none_was_sent_none_can_be_missed() -> None:
    """But what was missed before and after it is."""
    told = {"a": 1.0, "b": 52.0}
    passages = Passages(0, sent={"a": 0.5, "b": 51.5}, told=told, until=53, held=[(2, 50)])
    assert _wrong(passages) == ""
    assert passages.silence == 2


def test_nothing_sent_is_no_good_measure() -> None:
    """Else a probe that never began would find nothing wrong."""
    assert _wrong(Passages(0, until=1)) == "none was ever sent"


@pytest.mark.asyncio
async def test_a_probe_sends_on_whatever_hangs_and_waits_for_it_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is let go then is told; what never is, is lost."""
    monkeypatch.setattr("tests.faults.probes.INTERVAL", 0.01)
    monkeypatch.setattr("tests.faults.probes.LAST_NEWS", 0.2)
    asked: list[str] = []
    let_go = asyncio.Event()

    async def ask(key: str) -> None:
        asked.append(key)
        if len(asked) == 1:
            await asyncio.Event().wait()
        await let_go.wait()

    async def three() -> bool:
        return len(asked) > 2

    probe = Probe(ask)
    async with probe.measuring():
        await eventually(three, what="three are sent")
        assert not probe.passages.told
        asyncio.get_running_loop().call_soon(let_go.set)
    assert list(probe.passages.sent) == asked
    assert probe.passages.lost == asked[:1]
    assert set(probe.passages.told) == set(asked[1:])


@pytest.mark.asyncio
async def test_a_probe_that_is_held_has_nothing_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was sent is told first; then nothing is sent until it goes on."""
    monkeypatch.setattr("tests.faults.probes.INTERVAL", 0.01)
    let_go = asyncio.Event()

    async def ask(key: str) -> None:
        assert key
        await let_go.wait()

    def more_than(count: int) -> Callable[[], Awaitable[bool]]:
        async def sent() -> bool:
            return len(probe.passages.sent) > count

        return sent

    probe = Probe(ask)
    async with probe.measuring():
        await eventually(more_than(2), what="some are sent")
        assert not probe.passages.told
        asyncio.get_running_loop().call_later(0.05, let_go.set)
        async with probe.quiet():
            sent = len(probe.passages.sent)
            assert not probe.passages.lost
            await asyncio.sleep(0.05)  # several more would be sent
            assert len(probe.passages.sent) == sent
        await eventually(more_than(sent), what="it goes on")
    ((since, to),) = probe.passages.held
    assert to - since >= 0.05
    assert not any(since < at < to for at in probe.passages.sent.values())


@pytest.mark.asyncio
async def test_another_answer_than_the_one_there_is_to_be_ends_the_measurement() -> None:
    """It went another way, of which nothing is known."""

    async def ask(key: str) -> None:
        raise AssertionError(f"{key} ended otherwise")

    async def sent() -> bool:
        return bool(probe.passages.sent)

    probe = Probe(ask)
    with pytest.raises(AssertionError, match="ended otherwise"):
        async with probe.measuring():
            await eventually(sent, what="one is sent")


def test_each_way_is_judged() -> None:
    """A pause of one is told as that one's."""

    async def ask(key: str) -> None:
        raise NotImplementedError(key)

    ways = Ways(Pause("http://nowhere", "none"), Probe(ask), Probe(ask))
    good = Passages(0, sent={"a": 0}, told={"a": 1}, until=1)
    ways.writes.passages = ways.bus.passages = good
    assert ways.wrong(bound=30) == []
    ways.bus.passages = Passages(0, sent={"a": 0}, told={"a": 31}, until=31)
    assert ways.wrong(bound=30)[0] == "by bus: one took 31.0 s"
    assert all(line.startswith("by bus: ") for line in ways.wrong(bound=30))
    assert len(ways.wrong(bound=1)) == 4
