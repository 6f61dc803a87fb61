"""Bad input, by HTTP and by bus: the right refusal, and nothing stops or is half-done."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import aiohttp
import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase
from shared.contract.topology import TOPOLOGY
from tests.support.conditions import eventually
from tests.support.installation import Installation

GOOD = {"image": "debian-12", "flavor": "small"}
JSON = {"Content-Type": "application/json"}


def _session(colobus: Installation) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {colobus.tokens['bigtop']}"}
    return aiohttp.ClientSession(colobus.url, headers=headers)


#: What is sent to POST /v1/vms, the statuses that are right, and what the problem must name.
BODIES: list[tuple[str, bytes | dict[str, Any], set[int], str]] = [
    ("bad JSON", b'{"image": ', {400}, ""),
    ("invalid UTF-8", b'{"image": "\xff\xfe", "flavor": "small"}', {400}, ""),
    ("no object", b"[]", {400, 422}, ""),
    ("nothing", b"", {400, 422}, ""),
    ("deep nesting", b"[" * 100_000, {400, 413}, ""),
    ("huge", b'{"image": "' + b"x" * 5_000_000 + b'"}', {413}, ""),
    ("missing field", {"image": "debian-12"}, {400, 422}, "flavor"),
    ("wrong type", {**GOOD, "floating_ip": "yes"}, {400, 422}, "/floating_ip"),
    ("unknown field", {**GOOD, "falvor": "small"}, {400, 422}, "falvor"),
    ("bad name", {**GOOD, "name": "a b\n"}, {400, 422}, "/name"),
    ("bad label", {**GOOD, "labels": {"a": 1}}, {400, 422}, "/labels"),
    ("bad lease", {**GOOD, "lease": {"ttl": -1}}, {400, 422}, "/lease/ttl"),
    ("bad deadline", {**GOOD, "deadline": 1e99}, {400, 422}, "/deadline"),
    ("bad key", {**GOOD, "ssh_keys": ["rm -rf /"]}, {400, 422}, "/ssh_keys"),
    ("loopback", {**GOOD, "callback_url": "http://[::1]/"}, {400, 422}, "/callback_url"),
    ("private", {**GOOD, "callback_url": "http://10.0.0.1/x"}, {400, 422}, "/callback_url"),
    ("metadata", {**GOOD, "callback_url": "http://169.254.169.254/"}, {400, 422}, "/callback_url"),
    ("no http", {**GOOD, "callback_url": "file:///etc/passwd"}, {400, 422}, "/callback_url"),
]


@pytest.mark.parametrize(
    ("body", "statuses", "names"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES]
)
async def test_a_bad_body_is_refused_by_name(
    colobus: Installation,
    bigtop: Client,
    body: bytes | dict[str, Any],
    statuses: set[int],
    names: str,
) -> None:
    """A problem document that names the field; and no VM."""
    before = {vm.id async for vm in bigtop.list("vm")}
    sent = {"json": body} if isinstance(body, dict) else {"data": body, "headers": JSON}
    async with _session(colobus) as session, session.post("/v1/vms", **sent) as response:
        text = await response.text()
        assert response.status in statuses, text
        assert response.content_type == "application/problem+json"
        assert names in text
    assert {vm.id async for vm in bigtop.list("vm")} == before


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=%00%ff", "limit=0", "limit=1e9", "phase=flying", "label=", "what=x"],
)
async def test_an_absurd_query_is_refused(colobus: Installation, query: str) -> None:
    """400, naming the parameter."""
    async with _session(colobus) as session, session.get(f"/v1/vms?{query}") as response:
        text = await response.text()
        assert response.status == 400, text
        assert query.partition("=")[0] in text


@pytest.mark.parametrize(
    "path",
    ["/v1/vms/x", "/v1/vms/vm-01jz0000000000000000000000", "/v1/vms/%00", "/v2/vms", "/v1/x"],
)
async def test_what_is_not_there_is_404(colobus: Installation, path: str) -> None:
    """A problem document, whatever was asked for."""
    async with _session(colobus) as session, session.get(path) as response:
        assert response.status == 404, await response.text()
        assert response.content_type == "application/problem+json"


class _Broker:
    """The broker's HTTP API, as its administrator."""

    def __init__(self, colobus: Installation) -> None:
        self._base = str.__str__(colobus.admin.admin_amqp_management_url).rstrip("/")
        self._vhost = colobus.name

    async def call(self, session: aiohttp.ClientSession, path: str, body: object) -> Any:
        async with session.post(f"{self._base}/api/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def send(self, session: aiohttp.ClientSession, queue: str, payload: str) -> None:
        """Put a message straight into a queue, as no service of ours would."""
        body = {
            "routing_key": queue,
            "payload": payload,
            "payload_encoding": "string",
            "properties": {"message_id": str(uuid.uuid4())},
        }
        path = f"exchanges/{self._vhost}/amq.default/publish"
        assert (await self.call(session, path, body))["routed"]

    async def dead_letters(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """What is in the dead letters; it stays there."""
        body = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        found: list[dict[str, Any]] = await self.call(
            session, f"queues/{self._vhost}/dead_letters/get", body
        )
        return found


def _is_of(payload: str, kept: str) -> bool:
    """Of what was sent as a request, and is none, the dead letters keep the digest alone."""
    return payload == kept or hashlib.sha256(payload.encode()).hexdigest() in kept


async def test_garbage_on_any_queue_ends_in_the_dead_letters_and_stops_nothing(
    colobus: Installation, bigtop: Client
) -> None:
    """Each piece arrives there with its reason; a VM is made and deleted as ever."""
    broker = _Broker(colobus)
    queues = [queue.name for queue in TOPOLOGY.work_queues if queue.dead_letters]
    consumed = [name for name in queues if name.partition(".")[0] in colobus.processes]
    pieces = {f"garbage for {queue} {uuid.uuid4()}": queue for queue in consumed}
    async with aiohttp.ClientSession() as session:
        for payload, queue in pieces.items():
            await broker.send(session, queue, payload)
        for query_queue in TOPOLOGY.query_queues:
            await broker.send(session, query_queue.name, "garbage")

        async def buried() -> bool:
            found = [
                one["payload"]
                for one in await broker.dead_letters(session)
                if one["properties"]["headers"].get("x-colobus-reason")
            ]
            return all(any(_is_of(payload, kept) for kept in found) for payload in pieces)

        await eventually(buried, what="every piece is in the dead letters with its reason")
    vm = await bigtop.create_vm(CreateVm(**GOOD))  # type: ignore[arg-type]
    await bigtop.wait(vm.id, timeout=120)
    await bigtop.quota()
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=120)
    assert all(process.poll() is None for process in colobus.processes.values())
