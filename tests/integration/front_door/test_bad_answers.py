"""Whatever an owner answers: the asker is told so, at once, and the next good answer is passed on.

The owners' queues are read by the test itself here, which answers with what the golden files say,
changed in every way that Hypothesis thinks of.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiormq
import pytest
import pytest_asyncio
import structlog
from aiormq.abc import DeliveredMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic

from shared.contract.codec import decode
from shared.contract.messages import QueryFailed
from shared.contract.resources import Phase, Placement, Status
from shared.contract.topology import TOPOLOGY
from shared.runtime.secrets import seal
from tests.contract.golden_files import NAMES, golden
from tests.integration.front_door.harness import Answer, Door, House, Tenant, a_resource
from tests.support.bus import until
from tests.support.consumers import QUERIES
from tests.support.mutation import Mutant, as_bytes, mutants

pytestmark = pytest.mark.asyncio(loop_scope="session")
examples: Callable[..., Any] = settings(
    max_examples=max(3, settings().max_examples // 20),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
#: How long the front door of these tests waits for an owner, in seconds.
PATIENCE = 1
URL = "https://93.184.215.14/hook"
#: Each way to ask an owner something: method, path, its answer's name, and a body.
ASKED: dict[str, tuple[str, str, str, Any]] = {
    "quota": ("GET", "/v1/quota", "QuotaReported", None),
    "capacity": ("GET", "/v1/capacity", "CapacityReported", None),
    "catalog": ("GET", "/v1/catalog", "VmCatalogReported", None),
    "new webhook": ("POST", "/v1/webhooks", "Webhook", {"url": URL}),
    "webhooks": ("GET", "/v1/webhooks", "WebhooksListed", None),
    "a webhook": ("GET", "/v1/webhooks/wh-1", "Webhook", None),
    "new secret": ("POST", "/v1/webhooks/wh-1/rotate-secret", "Webhook", None),
    "deliveries": ("GET", "/v1/webhooks/wh-1/deliveries", "WebhookDeliveriesListed", None),
    "redelivery": ("POST", "/v1/webhooks/wh-1/redeliver", "WebhookRedeliveryQueued", None),
    "deletion": ("DELETE", "/v1/webhooks/wh-1", "WebhookDeleted", None),
    "callback secret": ("GET", "/v1/callback-secret", "CallbackSecretIssued", None),
    "kubeconfig": ("GET", "/v1/clusters/{cluster}/kubeconfig", "KubeconfigIssued", None),
    "credentials": (
        *("GET", "/v1/attachments/{attachment}/credentials"),
        *("AttachmentCredentialsIssued", None),
    ),
}


@dataclass
class Liar:
    """Answers every query with ``answer``, which is given its data; ``heard``: their names."""

    tenant: Tenant
    ids: dict[str, str]
    answer: Callable[[dict[str, Any]], Mutant] = field(default=lambda _: Mutant(b""))
    heard: set[str] = field(default_factory=set)

    async def ask(self, door: Door, what: str, answer: Callable[[Any], Mutant]) -> Answer:
        """Ask for something over HTTP that is answered so."""
        method, path, _, body = ASKED[what]
        self.answer = answer
        return await door.request(method, path.format(**self.ids), self.tenant, json=body)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(empty_house: House) -> AsyncIterator[Door]:
    """A front door that doesn't wait for long."""
    async with empty_house.replica(query_seconds=str(PATIENCE)) as replica:
        yield replica


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def liar(empty_house: House, door: Door) -> AsyncIterator[Liar]:
    """Reads the queues of all owners, in place of the neighbours."""
    tenant, bus = empty_house.tenant(), empty_house.neighbours.bus
    placement = Placement(cloud="devcloud", store="ceph")
    outputs = {"cluster_id": "m-1"}
    status = Status(phase=Phase.ACTIVE, placement=placement, outputs=outputs)
    ids, asked = {}, golden("GetAttachmentCredentials")["data"]
    for kind, spec in (
        ("cluster", {"node_count": 2, "version": "1.20"}),
        ("attachment", {name: asked[name] for name in ("volume", "initiator_iqn")}),
    ):
        made = a_resource(tenant, Phase.ACTIVE, kind=kind, spec=spec, revision=1, status=status)
        await empty_house.neighbours.publish_status(made)
        await until(partial(_there, door, f"/v1/{kind}s/{made.id}", tenant))
        ids[kind] = made.id
    await bus.drain(5)
    made_up = Liar(tenant, ids)
    connection = await aiormq.connect(empty_house.broker_url)
    channel = await connection.channel()

    async def answered(query: DeliveredMessage) -> None:
        asked, event = query.header.properties, json.loads(query.body)
        made_up.heard.add(decode(query.body)[0].message_name)
        mutant = made_up.answer(event["data"])
        properties = {"correlation_id": asked.correlation_id, **_fitting(mutant.properties)}
        await channel.basic_publish(
            mutant.body,
            routing_key=asked.reply_to or "",
            properties=Basic.Properties(**properties),
        )

    for queue in TOPOLOGY.query_queues:
        await channel.basic_consume(queue.name, answered, no_ack=True)
    yield made_up
    await connection.close()


async def _there(door: Door, path: str, tenant: Tenant) -> bool:
    return (await door.get(path, tenant)).status == 200


def _fitting(properties: dict[str, Any]) -> dict[str, Any]:
    """As aiormq names them; the answer gets where it is asked for, or nothing would be read."""
    left_out = {"correlation_id", "reply_to", "timestamp"}
    kept = {name: value for name, value in properties.items() if name not in left_out}
    return {"message_type" if name == "type" else name: value for name, value in kept.items()}


def _sealed(event: dict[str, Any], query: dict[str, Any], data: bytes = b"a secret") -> Any:
    """The answer with its secret sealed to the key that came with the query."""
    key = query.get("reply_public_key") or query.get("public_key")
    secrets = {name for name in event["data"] if name.startswith("sealed_")}
    sealed = dict.fromkeys(secrets, seal(key, data)) if key else {}
    same = {"id": query["webhook_id"]} if "webhook_id" in query and "id" in event["data"] else {}
    return {**event, "data": {**event["data"], **sealed, **same}}


def _good(name: str) -> Callable[[dict[str, Any]], Mutant]:
    return lambda query: Mutant(as_bytes(_sealed(golden(name), query)))


def _always(one: Mutant) -> Callable[[Any], Mutant]:
    return lambda _: one


def _clean(answer: Answer, what: str) -> None:
    """Done, or a problem with its status: never a fault of the front door's own."""
    if answer.status >= 400:
        assert "title" in answer.problem, what
    else:
        assert answer.status in (200, 201, 202, 204), what


async def test_every_query_there_is_is_asked_here(door: Door, liar: Liar) -> None:
    """Of each owner: a new one without a row in the table shows."""
    for what, (_, _, name, _) in ASKED.items():
        await liar.ask(door, what, _good(name))
    assert liar.heard == {name for names in QUERIES.values() for name in names}


@examples
@given(data=st.data())
@pytest.mark.parametrize("what", ASKED)
async def test_an_answer_gone_wrong_is_the_owners_problem(
    door: Door, liar: Liar, what: str, data: st.DataObject
) -> None:
    """Several at a time, among them good ones and answers to other questions."""
    _, _, name, _ = ASKED[what]
    lies = mutants([golden(name), golden(name), golden("QueryFailed")])
    others = mutants([golden(other) for other in NAMES])
    told = data.draw(st.lists(lies | lies | lies | others, min_size=8, max_size=8))
    with structlog.testing.capture_logs() as logs:
        for one in told:
            async with asyncio.timeout(20 * PATIENCE):
                _clean(await liar.ask(door, what, _always(one)), what)
    assert [one for one in logs if one["log_level"] in ("error", "critical")] == []
    good = await liar.ask(door, what, _good(name))
    assert good.status in (200, 201, 202, 204), good.body


@pytest.mark.parametrize("what", ASKED)
async def test_no_answer_is_told_when_the_patience_ends(door: Door, liar: Liar, what: str) -> None:
    """Nothing that can be read, or something else than was asked for: 503, and Retry-After."""
    for wrong in (b"", as_bytes(golden("VmObserved"))):
        answer = await liar.ask(door, what, _always(Mutant(wrong)))
        assert (answer.status, "Retry-After" in answer.headers) == (503, True), what
        assert "answer" in answer.problem["detail"]
    failed = as_bytes(golden("QueryFailed"))
    own = decode(failed)[1]
    assert isinstance(own, QueryFailed)
    answer = await liar.ask(door, what, _always(Mutant(failed)))
    assert answer.problem["detail"] == own.problem.detail


async def test_another_webhooks_id_is_not_passed_on(door: Door, liar: Liar) -> None:
    """It would be in a header: the new webhook is the one that was asked for, or there is none."""
    for wrong in ("wh-another", "a\nb", "\u202e"):

        def lie(query: dict[str, Any], wrong: str = wrong) -> Mutant:
            made = _sealed(golden("Webhook"), query)
            return Mutant(as_bytes({**made, "data": {**made["data"], "id": wrong}}))

        assert (await liar.ask(door, "new webhook", lie)).status == 503


@pytest.mark.parametrize("what", ["new webhook", "new secret", "callback secret", "kubeconfig"])
async def test_a_secret_that_is_no_text_is_none(door: Door, liar: Liar, what: str) -> None:
    """Sealed as it should be, and not UTF-8."""
    _, _, name, _ = ASKED[what]
    event = golden(name)

    def lie(query: dict[str, Any]) -> Mutant:
        return Mutant(as_bytes(_sealed(event, query, b"\xff\xfe")))

    answer = await liar.ask(door, what, lie)
    assert (answer.status, answer.problem["reason"]) == (503, "backend_unavailable")
