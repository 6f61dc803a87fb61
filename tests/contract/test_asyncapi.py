"""The AsyncAPI document is valid, and leaves out nothing that travels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

from services.scheduler import handlers as scheduler
from services.scheduler import queries as scheduler_queries
from services.vm_worker import handlers as vm_worker
from services.vm_worker import queries as vm_queries
from services.webhook_worker import queries as webhook_queries
from shared.contract import topology
from shared.contract.asyncapi import ANSWERS, CHANNELS, REPLIES, asyncapi_document
from shared.contract.messages import MESSAGES, Message

#: AsyncAPI's own JSON Schema of 3.0.0, from the npm package @asyncapi/specs 6.11.1 (Apache-2.0).
SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.schema.json.gz")
GOLDEN = Path(__file__).with_name("golden")
DOCUMENT: dict[str, Any] = asyncapi_document("1.0.0")


def test_the_document_is_valid_asyncapi() -> None:
    """By the specification's own schema."""
    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    Draft7Validator(schema).validate(json.loads(msgspec.json.encode(DOCUMENT)))


def test_a_reason_that_a_newer_service_says_is_valid() -> None:
    """Whoever makes types of the document must not fail on it."""
    reason = Draft202012Validator(DOCUMENT["components"]["schemas"]["Reason"])
    assert reason.is_valid("quota_exceeded")
    assert reason.is_valid("never_heard_of")


def test_every_reference_leads_somewhere() -> None:
    """JSON Schema doesn't look."""
    for reference in _references(DOCUMENT):
        place: Any = DOCUMENT
        for word in reference.removeprefix("#/").split("/"):
            place = place[word]


def test_every_message_that_travels_has_its_channel() -> None:
    """All others are only parts of messages."""
    travelling = {message for channel in CHANNELS.values() for message in channel.messages}
    parts = {
        part
        for message in MESSAGES.values()
        for hint in get_type_hints(message).values()
        for part in _structs(hint)
    }
    assert set(MESSAGES.values()) - travelling <= parts


def test_golden_messages_are_what_the_document_says() -> None:
    """The bytes on the wire are instances of the schemas, data included."""
    checker = {"components": DOCUMENT["components"]}
    for name, message in DOCUMENT["components"]["messages"].items():
        golden = json.loads((GOLDEN / f"{name}.json").read_text())
        Draft202012Validator({**checker, **message["payload"]}).validate(golden)


@pytest.mark.parametrize(
    ("channel", "table"),
    [
        (topology.REQUESTS, scheduler.REQUEST_HANDLERS),
        (topology.EVENTS, scheduler.EVENT_HANDLERS),
        (topology.COMMANDS, vm_worker.HANDLERS),
        (topology.QUERIES, scheduler_queries.QUERY_HANDLERS),
        (topology.QUERIES, vm_queries.QUERY_HANDLERS),
        (topology.QUERIES, webhook_queries.QUERY_HANDLERS),
    ],
)
def test_what_is_handled_is_on_its_channel(
    channel: str, table: dict[type[Message], object]
) -> None:
    """The document says of each exchange what its receivers take."""
    assert set(table) <= set(CHANNELS[channel].messages)


def test_every_exchange_and_queue_is_in_it() -> None:
    """But for the delays and the ways past tenants, which are ours alone."""
    ours = {topology.delay_exchange(seconds) for seconds in topology.DELAYS}
    ours |= {topology.for_ours(exchange) for exchange in topology.OPEN_TO_TENANTS}
    exchanges = {exchange.name for exchange in topology.TOPOLOGY.exchanges} - ours
    assert set(DOCUMENT["channels"]) == exchanges | {REPLIES, ANSWERS}
    queues = {queue.name for queue in topology.TOPOLOGY.work_queues}
    queues |= {queue.name for queue in topology.TOPOLOGY.query_queues}
    assert {f"receive-{queue}" for queue in queues} <= set(DOCUMENT["operations"])


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for part in value for found in _references(part)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for part in value.values() for found in _references(part)]


def _structs(hint: Any) -> set[Any]:
    return {hint}.union(*(_structs(part) for part in get_args(hint)))
