"""Policies and limits: what queues that tenants make themselves, and their users, are bounded by.

A policy is for queues whose arguments we can't choose, or no longer. Where both bound the same,
the lower bound counts (rabbitmq.com/docs/parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.contract.topology import TOPOLOGY

_DAY = 24 * 3600 * 1000
#: What a queue of a tenant's own holds at most, and for how long; times in milliseconds. The oldest
#: messages go first. A queue that nobody consumes for a week goes too.
TENANT_QUEUE: Mapping[str, int | str] = {
    "max-length": 10_000,
    "max-length-bytes": 64 * 1024 * 1024,
    "message-ttl": _DAY,
    "expires": 7 * _DAY,
    "overflow": "drop-head",
}
#: What a tenant's user may have open at once.
TENANT_LIMITS: Mapping[str, int] = {"max-connections": 256, "max-channels": 2048}
#: RabbitMQ 4 drops a message of a quorum queue that names no limit after 20 deliveries; -1, its
#: word for "never", is unknown to 3.x. So often nobody looks at a dead letter.
ENDLESS = 1_000_000_000


def policies(users: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All policies, each with its name; ``users`` are the tenants' own."""
    buried = "|".join(re.escape(q.name) for q in TOPOLOGY.work_queues if not q.dead_letters)
    yield "colobus-dead-letters", _policy(f"^({buried})$", {"delivery-limit": ENDLESS})
    for user in users:
        yield f"colobus-queues-of-{user}", _policy(rf"^{re.escape(user)}\.", TENANT_QUEUE)


def _policy(pattern: str, definition: Mapping[str, int | str]) -> Mapping[str, Any]:
    return {
        "pattern": pattern,
        "definition": dict(definition),
        "apply-to": "queues",
        "priority": 100,
    }
