"""Who may do what on broker and database: one table, `ACCESS`, and the regular expressions of it.

RabbitMQ: a resource permission is three patterns over names of exchanges and queues. A topic
permission narrows routing keys per topic exchange; where a user has none, all keys are allowed,
so everybody gets one for every exchange (rabbitmq.com/docs/access-control).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.contract import topology

NOTHING = "^$"
EVERYTHING = ".*"
_THREE_WORDS = r"^[^.]+\.[^.]+\.[^.]+$"
_TWO_WORDS = r"^[^.]+\.[^.]+$"
#: The default exchange's name in permissions; replies to queries go through it.
_DEFAULT_EXCHANGE = "amq.default"


@dataclass(frozen=True)
class Access:
    """What one service may do.

    ``publishes``: {exchange: pattern of its routing keys}; ``consumes``: work and query queues;
    ``follows``: {exchange: pattern of binding keys} for its own live queues; ``answers``: sends
    replies to queries. ``schema``: owns the PostgreSQL schema of its name. ``settings``: what
    else it is told by the admin step.
    """

    publishes: Mapping[str, str] = field(default_factory=dict)
    consumes: tuple[str, ...] = ()
    follows: Mapping[str, str] = field(default_factory=dict)
    answers: bool = False
    schema: bool = False
    settings: tuple[str, ...] = ()


MASTER_KEY = "COLOBUS_MASTER_KEY_FILE"
SEALING_KEY = "COLOBUS_SEALING_KEY_FILE"
CHAP_KEY = "COLOBUS_CHAP_KEY_FILE"
SEALING_PUBLIC_KEYS = "COLOBUS_SEALING_PUBLIC_KEYS"
FRONT_DOOR_USER = "COLOBUS_FRONT_DOOR_USER"

ACCESS: dict[str, Access] = {
    "front_door": Access(
        publishes={topology.REQUESTS: _THREE_WORDS, topology.QUERIES: _TWO_WORDS},
        consumes=("front_door.status",),
        follows={topology.EVENTS: EVERYTHING, topology.STATUS: EVERYTHING},
        schema=True,
        settings=(MASTER_KEY, SEALING_PUBLIC_KEYS),
    ),
    "scheduler": Access(
        publishes={topology.COMMANDS: _TWO_WORDS, topology.STATUS: _THREE_WORDS},
        consumes=(
            "scheduler.requests",
            "scheduler.events",
            "scheduler.dead_commands",
            "scheduler.queries",
        ),
        answers=True,
        schema=True,
        settings=(FRONT_DOOR_USER,),
    ),
    "vm_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.vm\.[^.]+$"},
        consumes=("vm_worker.commands", "vm_worker.queries"),
        answers=True,
        settings=(SEALING_KEY,),
    ),
    "baremetal_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.machine\.[^.]+$"},
        consumes=("baremetal_worker.commands",),
        settings=(CHAP_KEY,),
    ),
    "iscsi_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.(volume|snapshot|attachment|store)\.[^.]+$"},
        consumes=("iscsi_worker.commands", "iscsi_worker.queries"),
        answers=True,
        settings=(CHAP_KEY, SEALING_KEY),
    ),
    "k8s_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.(cluster|app)\.[^.]+$"},
        consumes=("k8s_worker.commands", "k8s_worker.queries"),
        answers=True,
        settings=(SEALING_KEY,),
    ),
    "stack_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.stack\.[^.]+$"},
        consumes=("stack_worker.commands",),
        settings=(SEALING_KEY,),
    ),
    "webhook_worker": Access(
        publishes={topology.EVENTS: r"^[^.]+\.webhook\.[^.]+$"},
        consumes=("webhook_worker.status", "webhook_worker.queries"),
        answers=True,
        schema=True,
        settings=(MASTER_KEY,),
    ),
}


@dataclass(frozen=True)
class Permissions:
    """One broker user's permissions. ``topics``: {exchange: (write, read)}."""

    configure: str
    write: str
    read: str
    topics: Mapping[str, tuple[str, str]]


def service_permissions(service: str, access: Access) -> Permissions:
    """What the service's broker user gets; whoever consumes may delay and dead-letter as well."""
    copies = [topology.DEAD_LETTERS] + [topology.delay_exchange(s) for s in topology.DELAYS]
    live = [rf"{re.escape(service)}\.live\..*"] if access.follows else []
    publishes = {**access.publishes, **_past_tenants(access)}
    exchanges = [*publishes, *(copies if access.consumes else [])]
    exchanges += [_DEFAULT_EXCHANGE] if access.answers else []
    topics = {exchange.name: (NOTHING, NOTHING) for exchange in topology.TOPOLOGY.exchanges}
    for exchange in copies if access.consumes else []:
        topics[exchange] = (rf"^{re.escape(service)}\.", NOTHING)
    topics[topology.DEAD_LETTERS] = (_dead_letter_keys(service, access), NOTHING)
    for exchange in {*publishes, *access.follows}:
        write = publishes.get(exchange, NOTHING)
        topics[exchange] = (write, access.follows.get(exchange, NOTHING))
    return Permissions(
        configure=_any_of(live),
        write=_any_of([*_names(exchanges), *live]),
        read=_any_of([*_names(access.consumes), *_names(access.follows), *live]),
        topics=topics,
    )


def _past_tenants(access: Access) -> dict[str, str]:
    """The same keys on the way past tenants' queues."""
    told = access.publishes.items()
    return {topology.for_ours(e): keys for e, keys in told if e in topology.OPEN_TO_TENANTS}


def _dead_letter_keys(service: str, access: Access) -> str:
    """Under what its copies go to the dead letters (`shared.bus.copies.dead_letter_key`).

    A key of two words ends a step there: only commands of its own have one.
    """
    if not access.consumes:
        return NOTHING
    bindings = {
        binding
        for queue in topology.TOPOLOGY.work_queues
        if queue.name in access.consumes
        for binding in queue.bindings
    }
    own, keys = re.escape(service), []
    keys.append(rf"{own}\.[^.]*\.")  # with the queue's name in front
    if any(binding.exchange == topology.COMMANDS for binding in bindings):
        keys.append(rf"{own}\.[^.]*$")
    if any(binding.key == "#" for binding in bindings):
        keys.append(r"(?![^.]*\.[^.]*$)")
    return f"^({'|'.join(keys)})"


def tenant_permissions(tenant: str, user: str) -> Permissions:
    """What a tenant's broker user gets: its requests, what becomes of them, queues of its own."""
    own_queues = rf"{re.escape(user)}\..*"
    own_keys = rf"^{re.escape(tenant)}\."
    topics = {exchange.name: (NOTHING, NOTHING) for exchange in topology.TOPOLOGY.exchanges}
    topics[topology.REQUESTS] = (own_keys, NOTHING)
    topics[topology.STATUS] = topics[topology.EVENTS] = (NOTHING, own_keys)
    return Permissions(
        configure=_any_of([own_queues]),
        write=_any_of([*_names([topology.REQUESTS]), own_queues]),
        read=_any_of([*_names([topology.STATUS, topology.EVENTS]), own_queues]),
        topics=topics,
    )


def broker_user(service: str, suffix: str = "") -> str:
    """The service's user on the broker: ``colobus-front-door`` for ``front_door``."""
    name = f"colobus-{service.replace('_', '-')}"
    return f"{name}-{suffix}" if suffix else name


def database_role(service: str, suffix: str = "") -> str:
    """The service's role in the database; its schema is named as the service."""
    return f"{service}_{suffix}" if suffix else service


def schema_owner(service: str, suffix: str = "") -> str:
    """Who owns the service's schema: a role that only the admin step acts as."""
    return database_role(f"{service}_owner", suffix)


def _names(names: Iterable[str]) -> list[str]:
    return [re.escape(name) for name in names]


def _any_of(patterns: Iterable[str]) -> str:
    alternatives = "|".join(patterns)
    return f"^({alternatives})$" if alternatives else NOTHING
