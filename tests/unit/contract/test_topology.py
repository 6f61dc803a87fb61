"""The table of exchanges and queues holds together."""

from __future__ import annotations

import pytest

from shared.contract.kinds import KINDS
from shared.contract.topology import (
    COMMANDS,
    DEAD_LETTERS,
    DELIVERY_LIMIT,
    EVENTS,
    OPEN_TO_TENANTS,
    STATUS,
    TOPOLOGY,
    Binding,
    QueryQueue,
    WorkQueue,
    belongs,
    for_ours,
    matches,
)

EXCHANGES = {exchange.name for exchange in TOPOLOGY.exchanges}
QUEUES: tuple[WorkQueue | QueryQueue, ...] = (*TOPOLOGY.work_queues, *TOPOLOGY.query_queues)


def test_names_are_unique() -> None:
    """Nothing is declared twice."""
    names = [queue.name for queue in QUEUES] + [queue.name for queue in TOPOLOGY.delay_queues]
    assert len(names) == len(set(names))
    assert len(EXCHANGES) == len(TOPOLOGY.exchanges)


def test_every_binding_is_to_an_exchange_that_is_declared() -> None:
    """And every delay queue has the exchange of its name."""
    assert {binding.exchange for queue in QUEUES for binding in queue.bindings} <= EXCHANGES
    assert {queue.name for queue in TOPOLOGY.delay_queues} <= EXCHANGES


def test_every_exchange_has_a_reader() -> None:
    """A mandatory message without a queue is never confirmed."""
    bound = {binding.exchange for queue in QUEUES for binding in queue.bindings}
    assert bound | {queue.name for queue in TOPOLOGY.delay_queues} == EXCHANGES


def test_no_declared_queue_lives_on_one_node_alone() -> None:
    """While that is away its consumers would find nothing, and end their services."""
    for queue in (*QUEUES, *TOPOLOGY.delay_queues):
        assert queue.arguments["x-queue-type"] == "quorum", queue.name


@pytest.mark.parametrize("queue", TOPOLOGY.work_queues, ids=lambda queue: str(queue.name))
def test_a_work_queue_loses_nothing(queue: WorkQueue) -> None:
    """Quorum, bounded by refusing, and what it gives up goes to the dead letters, at least once.

    The queues of dead letters themselves have no limit of deliveries: there is nowhere to go.
    """
    arguments = queue.arguments
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-overflow"] == "reject-publish"
    is_end_of_the_line = any(binding.exchange == DEAD_LETTERS for binding in queue.bindings)
    assert queue.dead_letters is not is_end_of_the_line
    if queue.dead_letters:
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-dead-letter-exchange"] == DEAD_LETTERS
        assert arguments["x-delivery-limit"] == DELIVERY_LIMIT >= 20


def test_a_delay_gives_messages_back_to_the_queue_they_name() -> None:
    """Through the default exchange, after its time, at least once."""
    for queue in TOPOLOGY.delay_queues:
        assert queue.arguments["x-message-ttl"] == queue.seconds * 1000
        assert queue.arguments["x-dead-letter-exchange"] == ""
        assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"


def test_every_worker_has_its_queue_of_commands() -> None:
    """A kind's worker reads what is sent to it, and nothing else."""
    queues = {queue.name: queue for queue in TOPOLOGY.work_queues}
    for kind in KINDS.values():
        (binding,) = queues[f"{kind.worker}.commands"].bindings
        assert binding.key == f"{kind.worker}.*"


@pytest.mark.parametrize(
    ("pattern", "key", "matching"),
    [
        ("#", "", True),
        ("#", "a.b.c", True),
        ("*.*", "a.b", True),
        ("*.*", "a.b.c", False),
        ("vm_worker.*", "vm_worker.ProvisionVm", True),
        ("vm_worker.*", "iscsi_worker.ProvisionVm", False),
        ("a.#", "a", True),
        ("a.#.c", "a.b.b.c", True),
        ("a.#.c", "a.b", False),
        ("*", "", True),
    ],
)
def test_keys_match_as_topic_exchanges_match(pattern: str, key: str, matching: bool) -> None:
    """A star is one word, which may be empty; a hash is any number of words."""
    assert matches(pattern, key) is matching


@pytest.mark.parametrize("exchange", OPEN_TO_TENANTS)
def test_the_way_past_tenants_leads_to_the_same_queues_of_ours(exchange: str) -> None:
    """Whatever a tenant's queue refuses, ours can have it, under its own key."""
    ours = {queue.name for queue in QUEUES if Binding(exchange, "#") in queue.bindings}
    past = {queue.name for queue in QUEUES if Binding(for_ours(exchange), "#") in queue.bindings}
    assert ours == past != set()


@pytest.mark.parametrize(
    ("queue", "exchange", "key", "expected"),
    [
        ("scheduler.events", EVENTS, "bigtop.vm.VmObserved", True),
        ("scheduler.events", for_ours(EVENTS), "bigtop.vm.VmObserved", True),
        ("scheduler.events", "", "scheduler.events", False),
        ("scheduler.events", STATUS, "bigtop.vm.active", False),
        ("vm_worker.commands", COMMANDS, "vm_worker.ProvisionVm", True),
        ("vm_worker.commands", COMMANDS, "iscsi_worker.ProvisionVolume", False),
        ("vm_worker.commands", "", "vm_worker.commands", False),
        ("scheduler.dead_commands", DEAD_LETTERS, "bigtop.vm.VmObserved", False),
        ("scheduler.queries", "", "scheduler.queries", False),
        ("no.such.queue", EVENTS, "bigtop.vm.VmObserved", False),
    ],
)
def test_what_came_past_a_queues_bindings_does_not_belong_there(
    queue: str, exchange: str, key: str, expected: bool
) -> None:
    """The default exchange leads anywhere, and nobody is asked for a key there."""
    assert belongs(queue, exchange, key) is expected
