"""Copies for the delay queues and the dead letters, and what is believed of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared.bus.copies import dead_copy, dead_letter_key, delayed_copy, next_delay
from shared.bus.delivery import Delivery, Incoming
from shared.contract.codec import decode
from shared.contract.topology import COMMANDS, DEAD_LETTERS, EVENTS, REQUESTS, STATUS
from tests.support.bus import an_event

OURS = frozenset({"colobus-scheduler"})


def _incoming(
    *,
    queue: str = "scheduler.requests",
    exchange: str = REQUESTS,
    routing_key: str = "bigtop.vm.create",
    redelivered: bool = False,
    **properties: Any,
) -> Incoming:
    deliver = Basic.Deliver("tag", 1, redelivered, exchange, routing_key)
    header = ContentHeader(0, 4, Basic.Properties(**properties))
    raw = DeliveredMessage(delivery=deliver, header=header, body=b"body", channel=None)  # type: ignore[arg-type]
    return Incoming.read(raw, queue, OURS)


@pytest.mark.parametrize(
    ("delays", "retry_after", "seconds"),
    [
        (0, None, 1),
        (1, None, 2),
        (2, None, 5),
        (3, None, 15),
        (4, None, 60),
        (1000, None, 60),
        (0, 0.5, 1),
        (0, 3, 5),
        (9, 3, 5),
        (0, 3600, 60),
    ],
)
def test_delays_grow_unless_the_backend_asks_for_one(
    delays: int, retry_after: float | None, seconds: int
) -> None:
    """1, 2, 5, 15, then 60 s for ever; a backend's wish is rounded up to a queue there is."""
    assert next_delay(delays, retry_after) == seconds


@pytest.mark.parametrize(
    ("queue", "exchange", "key", "expected"),
    [
        ("vm_worker.commands", COMMANDS, "vm_worker.ProvisionVm", "vm_worker.ProvisionVm"),
        ("scheduler.events", EVENTS, "bigtop.vm.VmObserved", "bigtop.vm.VmObserved"),
        ("front_door.status", STATUS, "bigtop.vm.active", "bigtop.vm.active"),
        ("scheduler.requests", REQUESTS, "bigtop.vm", "scheduler.requests.bigtop.vm"),
        ("scheduler.requests", "", "scheduler.requests", "scheduler.requests.scheduler.requests"),
        (
            "scheduler.dead_commands",
            DEAD_LETTERS,
            "vm_worker.ProvisionVm",
            "scheduler.dead_commands.vm_worker.ProvisionVm",
        ),
        ("scheduler.requests", REQUESTS, "", ""),
        ("vm_worker.commands", "", "vm_worker.commands", "vm_worker.commands.vm_worker.commands"),
        ("vm_worker.commands", "", "a.b.c", "vm_worker.commands.a.b.c"),
    ],
)
def test_only_dead_commands_keep_a_key_of_two_words(
    queue: str, exchange: str, key: str, expected: str
) -> None:
    """The scheduler takes two words for a dead command: nothing else may look like one."""
    incoming = _incoming(queue=queue, exchange=exchange, routing_key=key)
    assert dead_letter_key(incoming) == expected


def test_a_delayed_copy_comes_back_as_what_it_was() -> None:
    """Origin, user, reply address and count survive the delay, also the second time."""
    first = _incoming(
        user_id="ci-bigtop", reply_to="ci-bigtop.q", correlation_id="c", headers={"own": 1}
    )
    incoming = first
    for delays in (1, 2):
        copy = delayed_copy(incoming, 5)
        assert (copy.exchange, copy.routing_key) == ("colobus.delay.5s", "scheduler.requests")
        incoming = _incoming(
            exchange="",
            routing_key="scheduler.requests",
            user_id="colobus-scheduler",
            reply_to=copy.reply_to,
            correlation_id=copy.correlation_id,
            headers={**copy.headers, "x-death": [{}], "x-first-death-reason": "expired"},
        )
        assert incoming.delays == delays
        assert incoming.repeated
        for name in ("body", "exchange", "routing_key", "user_id", "reply_to", "correlation_id"):
            assert getattr(incoming, name) == getattr(first, name), name
        assert incoming.headers_to_keep()["own"] == 1


def test_a_copy_of_a_message_without_user_has_none() -> None:
    """The copy carries our own user; it must not make the message ours."""
    copy = delayed_copy(_incoming(), 1)
    again = _incoming(user_id="colobus-scheduler", headers=dict(copy.headers))
    assert again.user_id is None


def test_faults_are_counted_apart_from_delays() -> None:
    """An outage doesn't use up the tries of a faulty handler."""
    copy = delayed_copy(_incoming(), 1, faulty=True)
    again = _incoming(user_id="colobus-scheduler", headers=dict(copy.headers))
    assert (again.delays, again.faults) == (1, 1)
    copy = delayed_copy(again, 1)
    again = _incoming(user_id="colobus-scheduler", headers=dict(copy.headers))
    assert (again.delays, again.faults) == (2, 1)


def test_a_dead_letter_says_why_and_where_from() -> None:
    """With the reason cut to a length that a header can bear."""
    copy = dead_copy(_incoming(user_id="ci-bigtop"), "because " * 1000)
    assert (copy.exchange, copy.routing_key) == (DEAD_LETTERS, "bigtop.vm.create")
    assert copy.body == b"body"
    assert str(copy.headers["x-colobus-reason"]).startswith("because because")
    assert len(str(copy.headers["x-colobus-reason"])) == 1000
    assert copy.headers["x-colobus-user"] == "ci-bigtop"


@pytest.mark.parametrize(
    ("headers", "redelivered", "repeated"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"x-delivery-count": 2}, False, True),
        ({"x-delivery-count": 0}, False, False),
        ({"x-delivery-count": "x"}, False, False),
        ({"x-colobus-repeated": True}, False, True),
        ({"x-colobus-delays": 3}, False, False),
    ],
)
def test_a_delivery_knows_that_it_may_be_a_second_one(
    headers: dict[str, Any], redelivered: bool, repeated: bool
) -> None:
    """By the broker's flag or count, or the publisher's word; forged counts are not believed."""
    assert _incoming(headers=headers, redelivered=redelivered).repeated is repeated


def test_headers_that_steer_the_broker_or_cannot_travel_stay_behind() -> None:
    """CC routes, x-death makes cycles, and odd types may not fit into AMQP again."""
    headers = {
        "CC": ["a"],
        "BCC": ["b"],
        "x-death": [{}],
        "X-Match": "any",
        "x-colobus-user": "admin",
        "big": 2**64,
        "bytes": bytearray(b"x"),
        "nested": {"a": 1},
        "none": None,
        "text": "stays",
        "number": 7,
        "x-colobus-repeated": True,
    }
    kept = _incoming(headers=headers).headers_to_keep()
    assert kept == {"text": "stays", "number": 7, "x-colobus-repeated": True}


@pytest.mark.parametrize(
    ("deaths", "given_up"),
    [
        (None, None),
        ([], None),
        ([{"queue": "q", "reason": "expired"}, {"queue": "p", "reason": "x"}], ("q", "expired")),
        ("yes", ("", "")),
        ({"queue": "q"}, ("", "")),
        ([7], ("", "")),
        ([{}], ("None", "None")),
    ],
)
def test_the_last_death_says_who_gave_a_message_up(
    deaths: object, given_up: tuple[str, str] | None
) -> None:
    """The broker's own entry is the first; what is no list of tables was not written by it."""
    delivery = replace(_delivery(), headers={"x-death": deaths})
    assert delivery.given_up == given_up
    assert replace(delivery, delays=1).given_up is None, "that is the death in our delay queue"


def _delivery() -> Delivery:
    event = an_event()
    envelope, message = decode(event.body)
    return Delivery(
        envelope=envelope,
        message=message,
        queue="scheduler.dead_commands",
        routing_key="vm_worker.ProvisionVm",
        headers={},
        user_id=None,
        reply_to=None,
        repeated=False,
    )
