"""Every queue of the topology and what belongs there, as the services' own tables say.

Made, not kept: a new service has its rows by being declared, and whoever goes through all queues
goes through its own. What can't be told of a queue is an error when this is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from shared.contract.messages import ResourceStatusChanged
from shared.contract.topology import COMMANDS, TOPOLOGY

#: What nobody consumes: the operator looks at it.
UNREAD = "dead_letters"


def _table(service: str, module: str, name: str) -> tuple[str, ...]:
    table: Iterable[Any] = getattr(import_module(f"services.{service}.{module}"), name)
    return tuple(message.__name__ for message in table)


#: {worker: the commands that it carries out}.
ORDERS = {
    worker: _table(worker, "handlers", "HANDLERS")
    for queue in TOPOLOGY.work_queues
    for binding in queue.bindings
    if binding.exchange == COMMANDS
    for worker in [queue.name.partition(".")[0]]
}
#: {command: a worker that carries it out}.
TAKEN_BY = {name: worker for worker, names in ORDERS.items() for name in names}


def _belongs(queue: str) -> tuple[str, ...]:
    service, _, what = queue.partition(".")
    match what:
        case "commands":
            return ORDERS[service]
        case "dead_commands":
            return tuple(TAKEN_BY)
        case "events":
            return _table(service, "handlers", "EVENT_HANDLERS")
        case "requests":
            return _table(service, "handlers", "REQUEST_HANDLERS")
        case "status":
            return (ResourceStatusChanged.__name__,)
        case "queries":
            return _table(service, "queries", "QUERY_HANDLERS")
    raise LookupError(f"nobody knows what belongs on {queue}")


#: {work queue: the names of messages that belong there}; the service is the first word.
CONSUMERS = {q.name: _belongs(q.name) for q in TOPOLOGY.work_queues if q.name != UNREAD}
#: {service: the names of queries that it answers}.
QUERIES = {q.name.partition(".")[0]: _belongs(q.name) for q in TOPOLOGY.query_queues}
