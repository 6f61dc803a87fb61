"""Whatever lies on a queue, it ends in the dead letters with its reason and stops nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pamqp.commands import Basic

from shared.bus import Bus
from shared.contract.topology import EVENTS
from tests.support.bus import Broker, Recorder, an_event, bus_at, nothing_left
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(120)


def _event(**changes: Any) -> bytes:
    attributes = json.loads(an_event().body) | changes
    return json.dumps({k: v for k, v in attributes.items() if v is not None}).encode()


GARBAGE = {
    "nothing": (b"", "not a CloudEvent"),
    "text": (b"hello", "not a CloudEvent"),
    "a zero byte": (b"\x00", "not a CloudEvent"),
    "invalid UTF-8": (b'{"id": "\xff\xfe"}', "not a CloudEvent"),
    "half a message": (an_event().body[:50], "not a CloudEvent"),
    "another JSON": (b"[1, 2, 3]", "not a CloudEvent"),
    "deep nesting": (b"[" * 100_000, "not a CloudEvent"),
    "no tenant": (_event(tenant=None), "tenant"),
    "a number for a subject": (_event(subject=7), "subject"),
    "an unknown type": (_event(type="org.colobus.LaunchMissiles.v1"), "unknown message type"),
    "another version of a type": (_event(type="org.colobus.VmBuildStarted.v2"), "unknown message"),
    "a foreign event": (_event(type="com.example.thing"), "unknown message type"),
    "another CloudEvents version": (_event(specversion="0.3"), "specversion"),
    "time without zone": (_event(time="2026-01-01T00:00:00"), "time zone"),
    "no data": (_event(data=None), "data of VmBuildStarted"),
    "wrong data": (_event(data={"server_id": []}), "server_id"),
}


async def test_every_garbage_body_is_dead_lettered(bus: Bus, broker: Broker) -> None:
    """Each dead letter has the bytes as they came and says what is wrong; the next is handled."""
    record, good = Recorder(), an_event()
    await bus.consume("scheduler.events", record)
    for body, _ in GARBAGE.values():
        await broker.put("scheduler.events", body)
    await bus.publish(good)
    dead = [await broker.take("dead_letters") for _ in GARBAGE]
    reasons = {m.body: str((m.header.properties.headers or {})["x-colobus-reason"]) for m in dead}
    for shape, (body, reason) in GARBAGE.items():
        assert reason in reasons[body], shape
    await record.wait_for(1)
    assert record.ids == [good.id]
    assert await nothing_left(bus, broker, "scheduler.events")


class RawProperties(Basic.Properties):
    """Properties as bytes on the wire, as no library would write them."""

    def __init__(self, flags: int, raw: bytes) -> None:
        super().__init__(message_id="raw")
        self._bytes = flags.to_bytes(2, "big") + raw

    def marshal(self) -> bytes:
        return self._bytes


def _table(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _nested(depth: int) -> bytes:
    raw = b""
    for _ in range(depth):
        raw = b"\x01aF" + _table(raw)
    return _table(raw)


_HEADERS, _TIMESTAMP, _MESSAGE_ID = 8192, 64, 128
HOSTILE = {
    "a timestamp after the end of time": (_TIMESTAMP, b"\xff" * 8),
    "a message id that is not UTF-8": (_MESSAGE_ID, b"\x03\xff\xfe\xfd"),
    "a header name that is not UTF-8": (_HEADERS, _table(b"\x02\xff\xfet\x01")),
    "a header with a timestamp after the end of time": (
        _HEADERS,
        _table(b"\x01aT" + b"\xff" * 8),
    ),
    "tables within tables within tables": (_HEADERS, _nested(3000)),
}


async def test_hostile_properties_do_not_disconnect_the_consumer(
    broker: Broker, proxy: Proxy
) -> None:
    """Property fields that the AMQP library can't read cost the connection nothing."""
    record, good = Recorder(), an_event()
    async with bus_at(proxy.url) as bus:
        await bus.consume("scheduler.events", record)
        for shape, (flags, raw) in HOSTILE.items():
            await broker.put("scheduler.events", shape.encode(), RawProperties(flags, raw))
        await bus.publish(good)
        await record.wait_for(1)
        dead = {(await broker.take("dead_letters")).body.decode() for _ in HOSTILE}
        assert await nothing_left(bus, broker, "scheduler.events")
    assert dead == set(HOSTILE)
    assert proxy.accepted == 1, "the connection was never lost"


async def test_forged_headers_of_ours_are_not_believed(bus: Bus, broker: Broker) -> None:
    """Who publishes can't claim to be somebody else, nor to route a copy elsewhere."""
    forged = Basic.Properties(
        headers={
            "x-colobus-user": "colobus-admin",
            "x-colobus-queue": "scheduler.events",
            "x-colobus-routing-key": "other.vm.create",
            "x-colobus-delays": "many",
            "x-death": "yes",
            "CC": ["other.vm.create"],
            "keep": "me",
        }
    )
    record = Recorder()
    await bus.consume("scheduler.events", record)
    await broker.put("scheduler.events", an_event().body, forged, exchange=EVENTS)
    [delivery] = await record.wait_for(1)
    assert (delivery.user_id, delivery.routing_key) == (None, "scheduler.events")
    await broker.put("scheduler.events", b"junk", forged)
    dead = await broker.take("dead_letters")
    headers = dead.header.properties.headers or {}
    assert headers["keep"] == "me"
    assert not {"x-colobus-user", "x-colobus-delays", "x-death", "CC"} & headers.keys()
