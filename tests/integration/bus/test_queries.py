"""Questions and answers over direct reply-to."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus import Bus, QueryRefused, QueryTimeout, QueryUndelivered
from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import GetQuota, Message, QuotaReported
from shared.contract.problems import Problem
from shared.runtime.errors import ColobusError, PermanentError, TemporaryError
from tests.support.bus import Broker, bus_at, until
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)
QUESTION = GetQuota()
ANSWER = QuotaReported(limits={"vms": 3}, used={"vms": 1}, waiting=0)


def _asked(tenant: str = "bigtop") -> Envelope:
    return envelope_for(QUESTION, source="front_door", subject=tenant, tenant=tenant)


async def _answer(_: Envelope, __: Message) -> Message:
    return ANSWER


async def test_a_query_is_answered(bus: Bus) -> None:
    """The owner's handler gets the envelope and the typed query, the asker the typed answer."""
    seen: list[tuple[str, Message]] = []

    async def answer(envelope: Envelope, message: Message) -> Message:
        seen.append((envelope.tenant, message))
        return ANSWER

    await bus.serve_queries("scheduler", answer)
    assert await bus.query("scheduler", _asked(), QUESTION) == ANSWER
    assert seen == [("bigtop", QUESTION)]


async def test_many_queries_at_once_get_each_its_own_answer(bus: Bus) -> None:
    """Answers find their askers, in whatever order they come."""

    async def answer(envelope: Envelope, _: Message) -> Message:
        return QuotaReported(limits={}, used={}, waiting=int(envelope.tenant))

    await bus.serve_queries("scheduler", answer)
    answers = await asyncio.gather(
        *(bus.query("scheduler", _asked(str(n)), QUESTION) for n in range(100))
    )
    assert answers == [QuotaReported(limits={}, used={}, waiting=n) for n in range(100)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            PermanentError("no such thing", reason="not_found", status=404),
            Problem(title="Not found", status=404, detail="no such thing", reason="not_found"),
        ),
        (
            TemporaryError("try later", reason="busy"),
            Problem(title="Busy", detail="try later", reason="busy", retryable=True),
        ),
        (ZeroDivisionError("secret"), Problem(title="Internal error", status=500, retryable=True)),
    ],
)
async def test_an_owner_that_cannot_answer_says_why(
    bus: Bus, error: Exception, expected: Problem
) -> None:
    """Its problem reaches the asker as it is; a fault of ours shows nothing of its inside."""

    async def answer(_: Envelope, __: Message) -> Message:
        raise error

    await bus.serve_queries("scheduler", answer)
    with pytest.raises(QueryRefused) as refused:
        await bus.query("scheduler", _asked(), QUESTION)
    assert refused.value.problem() == expected
    assert isinstance(refused.value, ColobusError)


async def test_a_query_nobody_answers_times_out_and_goes(bus: Bus, broker: Broker) -> None:
    """The asker gets a temporary error, and the query doesn't outlive its asker."""
    with pytest.raises(QueryTimeout) as error:
        await bus.query("scheduler", _asked(), QUESTION, timeout=0.3)
    assert error.value.retryable

    async def expired() -> bool:
        return await broker.depth("scheduler.queries") == 0

    await until(expired)


async def test_a_query_to_an_owner_without_queue_fails_at_once(bus: Bus) -> None:
    """Unroutable: no need to wait for the timeout."""
    with pytest.raises(QueryUndelivered):
        await bus.query("nobody", _asked(), QUESTION, timeout=60)


async def test_a_broker_lost_while_waiting_is_told_at_once(broker: Broker, proxy: Proxy) -> None:
    """The answer's address went with the channel; the asker may ask again."""
    arrived, for_ever = asyncio.Event(), asyncio.Event()

    async def answer(_: Envelope, __: Message) -> Message:
        arrived.set()
        await for_ever.wait()
        return ANSWER

    async with bus_at(broker.url) as owner, bus_at(proxy.url) as asker:
        await owner.serve_queries("scheduler", answer)
        asking = asyncio.create_task(asker.query("scheduler", _asked(), QUESTION, timeout=100))
        await arrived.wait()
        await proxy.cut()
        with pytest.raises(QueryTimeout, match="lost"):
            await asking
        for_ever.set()
        assert await asker.query("scheduler", _asked(), QUESTION) == ANSWER


async def test_garbage_among_queries_is_dead_lettered_and_stops_nothing(
    bus: Bus, broker: Broker
) -> None:
    """The server of queries survives whatever lies on its queue."""
    await bus.serve_queries("scheduler", _answer)
    await broker.put("scheduler.queries", b"garbage")
    await broker.put("scheduler.queries", b"")
    assert await bus.query("scheduler", _asked(), QUESTION) == ANSWER
    dead = {(await broker.take("dead_letters")).body for _ in range(2)}
    assert dead == {b"garbage", b""}


async def test_a_reply_goes_to_no_foreign_queue(bus: Bus, broker: Broker) -> None:
    """A query can't make its owner write into a work queue by naming it as reply address."""
    from pamqp.commands import Basic

    from shared.contract import topology
    from shared.contract.codec import encode

    await bus.serve_queries("scheduler", _answer)
    evil = Basic.Properties(reply_to="scheduler.requests", correlation_id="1")
    asked = encode(_asked(), QUESTION)
    await broker.put("scheduler.GetQuota", asked, evil, exchange=topology.QUERIES)
    assert await bus.query("scheduler", _asked(), QUESTION) == ANSWER
    assert await broker.depth("scheduler.requests") == 0
