"""Whatever lies on whichever queue: no process dies, no queue stops, nothing wrong is kept.

All services run as processes on the real broker and database; the cloud can't be reached. What is
right they tell apart from what is wrong: each message is settled, without a fault of ours (the log
would tell), and the next good one is handled.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contract import topology
from shared.contract.codec import decode
from shared.contract.identifiers import kind_of, new_id
from shared.contract.messages import Message
from tests.contract.golden_files import NAMES, golden
from tests.support.conditions import eventually_sync
from tests.support.consumers import CONSUMERS, ORDERS, QUERIES, UNREAD
from tests.support.fuzzed_house import House, fresh, fuzzed_house
from tests.support.mutation import Mutant, as_bytes, mutants

pytestmark = pytest.mark.timeout(900)
examples = settings(
    max_examples=max(3, settings().max_examples // 6),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
few = settings(examples, max_examples=max(2, settings().max_examples // 16))
#: So many messages of one example are under way at once.
BATCH = 25
#: VMs that are in the ledger: one is active, one is being built, one waits for the cloud.
VMS = ACTIVE, BUILDING, STARTING = [new_id("vm") for _ in range(3)]


#: What a worker says up to where a server is being built, and for which step.
_ANSWERS = (
    ("VmPortPrepared", "port"),
    ("FloatingIpAssociated", "floating_ip"),
    ("VmBuildStarted", "server"),
)


#: Those that have a test of their own: each of two senders is believed as far as it goes.
REQUESTS = "scheduler.requests"
#: The loop of all workers is one, so fewer examples of each will do, with more messages in them.
WORKERS = [f"{worker}.commands" for worker in ORDERS if worker != "vm_worker"]
#: An answer that comes in any case; where a cloud would have to be asked, that it can't be.
ANSWERED = {
    "scheduler": ("GetQuota", "QuotaReported"),
    "vm_worker": ("GetVmCatalog", "VmCatalogReported"),
    "iscsi_worker": ("GetStorageCatalog", "StorageCatalogReported"),
    "k8s_worker": ("GetKubeconfig", "QueryFailed"),
    "webhook_worker": ("ListWebhooks", "WebhooksListed"),
}


def _events(names: Sequence[str]) -> list[dict[str, Any]]:
    """Messages of these names: as in the golden files, and about VMs that are really there.

    What is about another kind is about one that nobody knows, but no less of now.
    """
    made = [golden(name) for name in names]
    steps = [("port", 1), ("server", 1), ("left-devcloud", 2), ("operation-x", 1)]
    for name in names:
        about = golden(name)["subject"]
        for place, (step, attempt) in enumerate(steps):
            event = fresh(name, VMS[place % len(VMS)] if kind_of(about) in ("", "vm") else about)
            made.append({**event, "step": step, "attempt": attempt})
    return made


def _batches(names: Sequence[str], *, at_least: int = 1) -> st.SearchStrategy[list[Mutant]]:
    strays = [golden(name) for name in NAMES if name not in names]
    some = mutants(_events(names))
    return st.lists(some | some | some | mutants(strays), min_size=at_least, max_size=BATCH)


@pytest.fixture(scope="module")
def house(basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The installation, with VMs that came so far before the worker began, without a cloud."""
    with fuzzed_house(basics, tmp_path_factory.mktemp("fuzz")) as made:
        made.request(made.front_door(), [_good_request(vm) for vm in VMS])
        _until_known(made, *VMS)
        for vm in (ACTIVE, BUILDING):
            for name, step in _ANSWERS:
                _until(made, vm, step, "answered", "false")
                event = {**fresh(name, vm), "step": step, "attempt": 1}
                made.put("scheduler.events", [Mutant(as_bytes(event))])
            _until(made, vm, "server", "accepted", "true")
        made.put("scheduler.events", [Mutant(as_bytes(_seen_active()))])
        query = "SELECT phase FROM scheduler.resources WHERE id = %s"
        eventually_sync(lambda: made.rows(query, ACTIVE) == [("active",)], what="one is active")
        made.installation.start("vm_worker")
        yield made


@pytest.fixture(scope="module")
def shown(house: House) -> set[str]:
    """The resources of which something was shown live, to either tenant."""
    seen: set[str] = set()
    for token in house.installation.tokens.values():
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        asked = urllib.request.Request(f"{house.installation.url}/v1/events", headers=headers)
        stream = urllib.request.urlopen(asked, timeout=120)
        threading.Thread(target=_look, args=(stream, seen), daemon=True).start()
    return seen


def _look(stream: Iterable[bytes], seen: set[str]) -> None:
    with suppress(OSError, http.client.HTTPException):  # that of a process that was stopped
        for line in stream:
            if line.startswith(b"data: "):
                seen.add(json.loads(line.removeprefix(b"data: "))["resource_id"])


def _until(house: House, vm: str, step: str, field: str, value: str) -> None:
    query = "SELECT state->'progress'->%s->>%s FROM scheduler.resources WHERE id = %s"
    what = f"{step} of {vm}: {field} is {value}"
    eventually_sync(lambda: house.rows(query, step, field, vm) == [(value,)], what=what)


def _seen_active() -> dict[str, Any]:
    event = fresh("VmObserved", ACTIVE)
    data = {
        "observed_at": event["time"],
        "server_id": golden("VmBuildStarted")["data"]["server_id"],
        "server_status": "ACTIVE",
        "port_status": "ACTIVE",
    }
    return {**event, "data": data}


def _good_request(vm: str) -> Mutant:
    changes = {"resource_id": vm, "operation_id": None, "callback_url": None, "force": False}
    return Mutant(as_bytes(fresh("RequestSubmitted", vm, **changes)))


def _until_known(house: House, *vms: str) -> None:
    """Ledger and read model have them: requests and statuses get through."""
    for schema in ("scheduler", "front_door"):
        query = f"SELECT id FROM {schema}.resources WHERE id = ANY(%s)"
        eventually_sync(
            lambda query=query: len(house.rows(query, list(vms))) == len(vms),  # type: ignore[misc]
            within=120,
            what=f"{schema} knows {vms}",
        )


@given(data=st.data())
@examples
@pytest.mark.parametrize("sender", ["front door", "tenant"])
def test_requests(house: House, sender: str, data: st.DataObject) -> None:
    """The front door's own, and those of a tenant's user under its own name."""
    url = house.front_door() if sender == "front door" else house.installation.amqp_url("bigtop")
    house.request(url, data.draw(_batches(("RequestSubmitted",))))
    house.until_settled("scheduler", "scheduler.requests")
    vm = new_id("vm")
    house.request(house.front_door(), [_good_request(vm)])
    _until_known(house, vm)
    house.check()


@given(data=st.data())
@examples
@pytest.mark.parametrize("queue", [q for q in CONSUMERS if q not in (REQUESTS, *WORKERS)])
def test_a_work_queue(house: House, queue: str, data: st.DataObject) -> None:
    """Commands, events, statuses and dead letters, put there by hand."""
    _fuzz(house, queue, data.draw(_batches(CONSUMERS[queue])))


@given(data=st.data())
@few
@pytest.mark.parametrize("queue", WORKERS)
def test_the_commands_of_another_worker(house: House, queue: str, data: st.DataObject) -> None:
    """Its cloud, store or metal can't be reached, which it says of every command that is good."""
    _fuzz(house, queue, data.draw(_batches(CONSUMERS[queue], at_least=15)))


def _fuzz(house: House, queue: str, batch: Sequence[Mutant]) -> None:
    service, names = queue.partition(".")[0], CONSUMERS[queue]
    house.put(queue, batch)
    house.until_settled(service, queue)

    def acked() -> int:
        return house.count(service, "colobus_bus_consumed_total", queue=queue, outcome="acked")

    before = acked()
    good = fresh(names[0], VMS[0]) if "status" not in queue else golden(names[0])
    house.put(queue, [Mutant(as_bytes(good))])
    eventually_sync(lambda: acked() > before, within=60, what="a good one is handled")
    house.check()


def test_every_queue_is_fuzzed() -> None:
    """Whatever the topology has: a new one without a way to tell what is good on it shows here."""
    assert ANSWERED.keys() == QUERIES.keys()
    assert CONSUMERS.keys() > {REQUESTS, *WORKERS}
    queues = {queue.name for queue in topology.TOPOLOGY.work_queues}
    queues |= {queue.name for queue in topology.TOPOLOGY.query_queues}
    fuzzed = {*CONSUMERS, *(f"{service}.queries" for service in QUERIES)}
    assert queues - fuzzed == {UNREAD}


@given(data=st.data())
@few
def test_the_live_queue(house: House, shown: set[str], data: st.DataObject) -> None:
    """What the front door shows at once, of any event: somebody looks, so it is looked at."""
    house.put("scheduler.events", data.draw(_batches(CONSUMERS["scheduler.events"], at_least=15)))
    seen = fresh("VmObserved", new_id("vm"))
    house.put("scheduler.events", [Mutant(as_bytes(seen))])
    eventually_sync(lambda: seen["subject"] in shown, within=60, what="a good one is shown")
    house.until_settled("scheduler", "scheduler.events")
    house.check()


@given(data=st.data())
@few
@pytest.mark.parametrize("service", QUERIES)
def test_queries(house: House, service: str, data: st.DataObject) -> None:
    """Whoever asks nonsense is told so or not answered; whoever asks well is answered."""
    queue = f"{service}.queries"
    house.put(queue, data.draw(_batches(QUERIES[service], at_least=15)))
    house.until_settled(service, queue)
    query, answer = ANSWERED[service]
    assert type(_ask(house, service, query)).__name__ == answer
    house.check()


def _ask(house: House, service: str, query: str) -> Message:
    """Ask as the front door does: by direct reply-to."""
    event = fresh(query, "x")
    if query == "ListWebhooks":
        event["data"] = {}
    got: list[bytes] = []
    with house.channel(house.front_door()) as channel:
        channel.basic_consume(
            "amq.rabbitmq.reply-to", lambda *delivery: got.append(delivery[3]), auto_ack=True
        )
        user = pika.URLParameters(house.front_door()).credentials.username
        asked = pika.BasicProperties(
            reply_to="amq.rabbitmq.reply-to", correlation_id="1", user_id=user
        )
        key = f"{service}.{query}"
        channel.basic_publish(topology.QUERIES, key, as_bytes(event), asked, mandatory=True)

        def answered() -> bool:
            channel.connection.process_data_events(time_limit=0.1)
            return bool(got)

        eventually_sync(answered, within=60, what=f"{key} is answered")
    return decode(got[0])[1]
