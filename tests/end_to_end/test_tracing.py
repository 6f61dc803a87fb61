"""One request is one trace, through all services and out to the subscriber; so say the logs."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Verb
from tests.end_to_end.conftest import QUOTAS
from tests.support.cloud import NOTHING, Cloud
from tests.support.collector import Collector, SpanSeen, collecting
from tests.support.installation import SERVICES, Installation, free_ports, installation
from tests.support.webhooks import Receiver

CLIENT_SPAN = "b7ad6b7169203331"
SECRET = "s3cret-of-the-guest"
TOKEN = "s3cret-of-the-url"


@pytest.fixture
def traced(
    environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Installation, int, Cloud]]:
    """An installation whose services export to a port where a collector is to be."""
    (port,) = free_ports(1)
    variables = {
        "COLOBUS_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "COLOBUS_LOG_LEVEL": "debug",
    }
    extra = dict.fromkeys(SERVICES, variables)
    extra["scheduler"] = {**variables, "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with installation(environment, tmp_path, QUOTAS, extra) as made:
        made.start()
        seen = Cloud(environment, made.name)
        yield made, port, seen
        made.stop()
        seen.clear()


@pytest.mark.timeout(1800)  # two VMs, one after the other, on a cloud that others may be busy on
async def test_one_request_is_one_trace_by_http_and_by_bus(
    traced: tuple[Installation, int, Cloud], receiver: Receiver
) -> None:
    """Connected, from the front door (or the queue) to the webhook; on every log line of it."""
    colobus, port, cloud = traced
    posted, deleted, published, ended = (secrets.token_hex(16) for _ in range(4))
    async with collecting(port) as collector:
        vm = await _post(colobus, receiver, posted)
        await receiver.until(lambda: _told(receiver, vm, "active"), 400)
        await _publish(colobus, receiver, published)
        await receiver.until(lambda: bool(_subjects(receiver, published, "active")), 400)
        (of_bus,) = _subjects(receiver, published, "active")
        lines = [line for one in (vm, of_bus) for line in _lines_about(colobus, one)]
        await _delete(colobus, vm, deleted)
        await _delete(colobus, of_bus, ended)
        await receiver.until(lambda: _told(receiver, vm, "deleted"), 400)
        await receiver.until(lambda: _told(receiver, of_bus, "deleted"), 400)
        assert cloud.holds(vm).counts == NOTHING
        await asyncio.to_thread(colobus.stop)  # every service exports what it has left

        for trace, root in (
            (posted, "POST /v1/vms"),
            (deleted, "DELETE /v1/vms/{id}"),
            (published, "process scheduler.requests"),
            (ended, "DELETE /v1/vms/{id}"),
        ):
            _assert_connected(collector, trace, root, by_bus=trace == published)
        _assert_looks_are_linked(collector.of(posted))
        _assert_nothing_secret(collector)
    _assert_subscriber_is_told(receiver, collector, vm, posted)
    _assert_subscriber_is_told(receiver, collector, of_bus, published)
    assert {line["service"] for line in lines} == set(SERVICES)
    assert {line.get("trace_id") for line in lines} == {posted, published}


async def _post(colobus: Installation, receiver: Receiver, trace: str) -> str:
    body = {
        "image": "debian-12",
        "flavor": "small",
        "user_data": base64.b64encode(SECRET.encode()).decode(),
        "callback_url": receiver.url("/traced") + f"?token={TOKEN}",
    }
    async with _session(colobus, trace) as session, session.post("/v1/vms", json=body) as answer:
        assert answer.status == 202, await answer.text()
        version, of, span, flags = answer.headers["traceresponse"].split("-")
        assert (version, of, flags) == ("00", trace, "01")
        assert span != CLIENT_SPAN
        assert answer.headers["X-Request-Id"] == trace
        return str((await answer.json())["id"])


async def _delete(colobus: Installation, vm: str, trace: str) -> None:
    async with _session(colobus, trace) as session, session.delete(f"/v1/vms/{vm}") as answer:
        assert answer.status == 202, await answer.text()


def _session(colobus: Installation, trace: str) -> aiohttp.ClientSession:
    headers = {
        "Authorization": f"Bearer {colobus.tokens['bigtop']}",
        "traceparent": f"00-{trace}-{CLIENT_SPAN}-01",
        "tracestate": "vendor=words",
    }
    return aiohttp.ClientSession(colobus.url, headers=headers)


async def _publish(colobus: Installation, receiver: Receiver, trace: str) -> None:
    message = RequestSubmitted(
        verb=Verb.CREATE,
        kind="vm",
        spec={"image": "debian-12", "flavor": "small"},
        callback_url=receiver.url("/traced"),
    )
    place = f"00-{trace}-{CLIENT_SPAN}-01"
    envelope = envelope_for(message, source="/ci", subject="", tenant="bigtop", traceparent=place)
    bus = await Bus.connect([colobus.amqp_url("bigtop")], name=colobus.broker_user("bigtop"))
    await bus.publish(outgoing.request(envelope, message))
    await bus.close()


def _subjects(receiver: Receiver, trace: str, phase: str) -> set[str]:
    """Of which resources webhooks of this trace and phase have told."""
    return {
        str(one.event["subject"])
        for one in receiver.at("/traced")
        if one.phase == phase and trace in one.headers["traceparent"]
    }


def _told(receiver: Receiver, vm: str, phase: str) -> bool:
    return any(one.phase == phase and one.event["subject"] == vm for one in receiver.at("/traced"))


def _lines_about(colobus: Installation, vm: str) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for service in SERVICES
        for line in colobus.log(service).read_text().splitlines()
        if vm in line
    ]


def _assert_connected(collector: Collector, trace: str, root: str, *, by_bus: bool) -> None:
    spans = collector.of(trace)
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids]
    assert [(span.name, span.parent_id) for span in roots] == [(root, CLIENT_SPAN)]
    assert {span.service for span in spans} == set(SERVICES)
    names = {(span.service, span.name) for span in spans}
    assert ("front_door", "publish colobus.requests") in names or by_bus
    assert names >= {
        ("scheduler", "process scheduler.requests"),
        ("scheduler", "publish colobus.commands"),
        ("vm_worker", "process vm_worker.commands"),
        ("vm_worker", "POST") if "POST" in root or by_bus else ("vm_worker", "DELETE"),
        ("vm_worker", "publish colobus.events"),
        ("scheduler", "process scheduler.events"),
        ("scheduler", "publish colobus.status"),
        ("front_door", "process front_door.status"),
        ("webhook_worker", "process webhook_worker.status"),
        ("webhook_worker", "POST"),
    }
    assert {span.resource["colobus.installation"] for span in spans} != {""}


def _assert_looks_are_linked(spans: list[SpanSeen]) -> None:
    """What a look at many resources showed of this one is part of its own trace."""
    assert [span for span in spans if span.name == "decide" and span.links]


def _assert_nothing_secret(collector: Collector) -> None:
    told = json.dumps([span.attributes for span in collector.spans])
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert not [secret for secret in (SECRET, encoded, TOKEN, "words") if secret in told]


def _assert_subscriber_is_told(
    receiver: Receiver, collector: Collector, vm: str, trace: str
) -> None:
    spans = {s.span_id for s in collector.of(trace) if s.service == "webhook_worker"}
    (active,) = [
        one
        for one in receiver.at("/traced")
        if one.phase == "active" and one.event["subject"] == vm
    ]
    _, of, span, _ = active.headers["traceparent"].split("-")
    assert of == trace
    assert span in spans
    assert "tracestate" not in active.headers
