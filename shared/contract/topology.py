"""The exchanges, queues and bindings of the bus, and who may do what: one table, `TOPOLOGY`.

One admin step declares all this (``python -m services.admin``); services only check it.
Source of the queue arguments: RabbitMQ's quorum queue and dead lettering guides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REQUESTS = "colobus.requests"
COMMANDS = "colobus.commands"
EVENTS = "colobus.events"
STATUS = "colobus.status"
QUERIES = "colobus.queries"
DEAD_LETTERS = "colobus.dead-letters"

#: Where tenants' own users may bind queues of their own. What these do must not hold us up: a queue
#: that refuses what it has no room for makes the broker refuse the message for all of them.
OPEN_TO_TENANTS = (EVENTS, STATUS)


def for_ours(exchange: str) -> str:
    """The exchange past tenants' queues: of one that is open to them, the way to ours alone."""
    return f"{exchange}.ours"


#: Redeliveries before the broker itself dead-letters a message. Every kill -9 of a consumer
#: counts against each message it had prefetched, so this is generous.
DELIVERY_LIMIT = 50
#: The delays there are queues for, in seconds: one TTL queue per delay, for all work queues.
DELAYS = (1, 2, 5, 15, 60)


def delay_exchange(seconds: int) -> str:
    """The exchange and queue that give a message back after ``seconds``, to the queue it names."""
    return f"colobus.delay.{seconds}s"


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str = "topic"


@dataclass(frozen=True)
class Binding:
    """``key`` of ``exchange`` goes to the queue."""

    exchange: str
    key: str


def _all_of(exchange: str) -> tuple[Binding, ...]:
    """All that is told on an exchange that is open to tenants, by whichever way."""
    return Binding(exchange, "#"), Binding(for_ours(exchange), "#")


@dataclass(frozen=True)
class WorkQueue:
    """A quorum queue: nothing in it is lost, and what is refused goes to the dead letters."""

    name: str
    bindings: tuple[Binding, ...]
    max_length: int = 200_000
    dead_letters: bool = True

    @property
    def arguments(self) -> dict[str, str | int]:
        """The ``x-…`` arguments of its declaration."""
        arguments: dict[str, str | int] = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-max-length": self.max_length,
        }
        if self.dead_letters:
            arguments |= {
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-strategy": "at-least-once",
                "x-dead-letter-exchange": DEAD_LETTERS,
            }
        return arguments


@dataclass(frozen=True)
class DelayQueue:
    """A quorum queue whose messages go, after ``seconds``, to the queue their routing key names."""

    seconds: int

    @property
    def name(self) -> str:
        """Also the name of its exchange."""
        return delay_exchange(self.seconds)

    @property
    def arguments(self) -> dict[str, str | int]:
        """The ``x-…`` arguments of its declaration; the default exchange routes by queue name."""
        return {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-max-length": 200_000,
            "x-message-ttl": self.seconds * 1000,
            "x-dead-letter-strategy": "at-least-once",
            "x-dead-letter-exchange": "",
        }


@dataclass(frozen=True)
class QueryQueue:
    """A bounded queue of queries to one owner; a query lives while its asker waits.

    A quorum queue, although nothing in it is worth keeping: a classic one lives on one node alone,
    and while that is away its owner can't consume.
    """

    name: str
    bindings: tuple[Binding, ...]

    @property
    def arguments(self) -> dict[str, str | int]:
        """The ``x-…`` arguments of its declaration."""
        return {
            "x-queue-type": "quorum",
            "x-max-length": 10_000,
            "x-overflow": "reject-publish",
            "x-message-ttl": 30_000,
        }


@dataclass(frozen=True)
class Topology:
    """Everything that is declared."""

    exchanges: tuple[Exchange, ...]
    work_queues: tuple[WorkQueue, ...]
    delay_queues: tuple[DelayQueue, ...] = field(default=tuple(DelayQueue(s) for s in DELAYS))
    query_queues: tuple[QueryQueue, ...] = ()


TOPOLOGY = Topology(
    exchanges=(
        Exchange(REQUESTS),
        Exchange(COMMANDS),
        Exchange(EVENTS),
        Exchange(STATUS),
        Exchange(QUERIES),
        Exchange(DEAD_LETTERS),
        *(Exchange(for_ours(exchange)) for exchange in OPEN_TO_TENANTS),
        *(Exchange(delay_exchange(seconds)) for seconds in DELAYS),
    ),
    work_queues=(
        WorkQueue("scheduler.requests", (Binding(REQUESTS, "#"),)),
        WorkQueue("scheduler.events", _all_of(EVENTS)),
        # Commands alone have routing keys of two words: a dead one ends its step.
        WorkQueue("scheduler.dead_commands", (Binding(DEAD_LETTERS, "*.*"),), dead_letters=False),
        WorkQueue("vm_worker.commands", (Binding(COMMANDS, "vm_worker.*"),)),
        WorkQueue("baremetal_worker.commands", (Binding(COMMANDS, "baremetal_worker.*"),)),
        WorkQueue("iscsi_worker.commands", (Binding(COMMANDS, "iscsi_worker.*"),)),
        WorkQueue("k8s_worker.commands", (Binding(COMMANDS, "k8s_worker.*"),)),
        WorkQueue("stack_worker.commands", (Binding(COMMANDS, "stack_worker.*"),)),
        WorkQueue("front_door.status", _all_of(STATUS)),
        WorkQueue("webhook_worker.status", _all_of(STATUS)),
        WorkQueue("dead_letters", (Binding(DEAD_LETTERS, "#"),), dead_letters=False),
    ),
    query_queues=(
        QueryQueue("scheduler.queries", (Binding(QUERIES, "scheduler.*"),)),
        QueryQueue("vm_worker.queries", (Binding(QUERIES, "vm_worker.*"),)),
        QueryQueue("iscsi_worker.queries", (Binding(QUERIES, "iscsi_worker.*"),)),
        QueryQueue("k8s_worker.queries", (Binding(QUERIES, "k8s_worker.*"),)),
        QueryQueue("webhook_worker.queries", (Binding(QUERIES, "webhook_worker.*"),)),
    ),
)


_BINDINGS: dict[str, tuple[Binding, ...]] = {
    **{queue.name: queue.bindings for queue in TOPOLOGY.work_queues},
    **{queue.name: queue.bindings for queue in TOPOLOGY.query_queues},
}


def belongs(queue: str, exchange: str, key: str) -> bool:
    """Tell whether what came from ``exchange`` under ``key`` came by a binding of the queue.

    The broker asks for leave to write to an exchange, and under a key. Whoever answers queries may
    write to the default exchange, which leads past all that to any queue.
    """
    bindings = _BINDINGS.get(queue, ())
    return any(one.exchange == exchange and matches(one.key, key) for one in bindings)


def matches(pattern: str, key: str) -> bool:
    """Tell whether a topic exchange lets ``key`` through: ``*`` is one word, ``#`` any number."""
    return _words_match(pattern.split("."), key.split("."))


def _words_match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_words_match(pattern[1:], words[n:]) for n in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _words_match(pattern[1:], words[1:])
