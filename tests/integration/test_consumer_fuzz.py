"""Whatever lies on whichever queue: no process dies, no queue stops, nothing wrong is kept.

All services run as processes on the real broker and database; the cloud can't be reached. What is
right they tell apart from what is wrong: each message is settled, without a fault of ours (the log
would tell), and the next good one is handled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.scheduler.handlers import EVENT_HANDLERS
from services.scheduler.queries import QUERY_HANDLERS as SCHEDULER_QUERIES
from services.vm_worker.handlers import HANDLERS
from services.vm_worker.queries import QUERY_HANDLERS as VM_QUERIES
from services.webhook_worker.queries import QUERY_HANDLERS as WEBHOOK_QUERIES
from shared.contract import topology
from shared.contract.codec import decode
from shared.contract.identifiers import new_id
from shared.contract.messages import Message
from tests.contract.golden_files import NAMES, golden
from tests.support.conditions import eventually_sync
from tests.support.fuzzed_house import House, fresh, fuzzed_house
from tests.support.mutation import Mutant, as_bytes, mutants

pytestmark = pytest.mark.timeout(900)
examples = settings(
    max_examples=max(3, settings().max_examples // 6),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
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


def _names(handlers: Any) -> tuple[str, ...]:
    return tuple(one.__name__ for one in handlers)


#: {queue: what belongs there}; the service is the first word.
CONSUMERS = {
    "scheduler.events": _names(EVENT_HANDLERS),
    "scheduler.dead_commands": _names(HANDLERS),
    "vm_worker.commands": _names(HANDLERS),
    "front_door.status": ("ResourceStatusChanged",),
    "webhook_worker.status": ("ResourceStatusChanged",),
}
QUERIES = {
    "scheduler": _names(SCHEDULER_QUERIES),
    "vm_worker": _names(VM_QUERIES),
    "webhook_worker": _names(WEBHOOK_QUERIES),
}
#: An answer that comes in any case, for a query that asks nothing of the cloud.
ANSWERED = {
    "scheduler": ("GetQuota", "QuotaReported"),
    "vm_worker": ("GetVmCatalog", "VmCatalogReported"),
    "webhook_worker": ("ListWebhooks", "WebhooksListed"),
}


def _events(names: Sequence[str]) -> list[dict[str, Any]]:
    """Messages of these names: as in the golden files, and about VMs that are really there."""
    made = [golden(name) for name in names]
    steps = [("port", 1), ("server", 1), ("left-devcloud", 2), ("operation-x", 1)]
    for name in names:
        for place, (step, attempt) in enumerate(steps):
            event = fresh(name, VMS[place % len(VMS)])
            made.append({**event, "step": step, "attempt": attempt})
    return made


def _batches(names: Sequence[str]) -> st.SearchStrategy[list[Mutant]]:
    strays = [golden(name) for name in NAMES if name not in names]
    some = mutants(_events(names))
    return st.lists(some | some | some | mutants(strays), min_size=1, max_size=BATCH)


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
@pytest.mark.parametrize("queue", CONSUMERS)
def test_a_work_queue(house: House, queue: str, data: st.DataObject) -> None:
    """Commands, events, statuses and dead letters, put there by hand."""
    service, names = queue.partition(".")[0], CONSUMERS[queue]
    house.put(queue, data.draw(_batches(names)))
    house.until_settled(service, queue)

    def acked() -> int:
        return house.count(service, "colobus_bus_consumed_total", queue=queue, outcome="acked")

    before = acked()
    good = fresh(names[0], VMS[0]) if "status" not in queue else golden(names[0])
    house.put(queue, [Mutant(as_bytes(good))])
    eventually_sync(lambda: acked() > before, within=60, what="a good one is handled")
    house.check()


@given(data=st.data())
@examples
@pytest.mark.parametrize("service", QUERIES)
def test_queries(house: House, service: str, data: st.DataObject) -> None:
    """Whoever asks nonsense is told so or not answered; whoever asks well is answered."""
    queue = f"{service}.queries"
    house.put(queue, data.draw(_batches(QUERIES[service])))
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
