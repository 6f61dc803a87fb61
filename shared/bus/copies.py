"""Copies of messages that can't be handled now (to a delay queue) or ever (to the dead letters).

A copy is confirmed before its original is acknowledged, so a crash in between makes a second
copy and loses nothing. Pure functions.
"""

from __future__ import annotations

from shared.bus.delivery import DELAYS as DELAYS_HEADER
from shared.bus.delivery import (
    EXCHANGE,
    FAULTS,
    QUEUE,
    REASON,
    REPEATED,
    ROUTING_KEY,
    USER,
    Incoming,
)
from shared.bus.publisher import Publication
from shared.contract import topology

#: How often a message is tried on which a handler fails by a fault of ours.
FAULTY_TRIES = 5
#: The longest reason that a header carries, in characters.
_LONGEST_REASON = 1000


def next_delay(delays: int, retry_after: float | None = None) -> int:
    """The delay, in seconds, after ``delays`` earlier ones; the backend's own wish goes first."""
    if retry_after is None:
        return topology.DELAYS[min(delays, len(topology.DELAYS) - 1)]
    return next((s for s in topology.DELAYS if s >= retry_after), topology.DELAYS[-1])


def delayed_copy(incoming: Incoming, seconds: int, *, faulty: bool = False) -> Publication:
    """The copy that comes back to the same queue after ``seconds``."""
    headers = _origin(incoming) | {DELAYS_HEADER: incoming.delays + 1, REPEATED: True}
    headers[FAULTS] = incoming.faults + faulty
    return _copy(incoming, topology.delay_exchange(seconds), incoming.queue, headers)


def dead_copy(incoming: Incoming, reason: str) -> Publication:
    """The copy for the dead letters, with its reason."""
    headers = _origin(incoming) | {REASON: reason[:_LONGEST_REASON]}
    return _copy(incoming, topology.DEAD_LETTERS, dead_letter_key(incoming), headers)


def dead_letter_key(incoming: Incoming) -> str:
    """The routing key among the dead letters: the original one.

    Keys of two words are commands there and end a step in the scheduler; what has such a key but
    isn't a command gets its queue's name in front, a dead command that is itself rejected too. So
    does what came past the queue's bindings, under whatever key: nobody's permissions are for that.
    """
    queue, exchange, key = incoming.queue, incoming.exchange, incoming.routing_key
    two_words = len(key.split(".")) == 2
    if not topology.belongs(queue, exchange, key) or (two_words and exchange != topology.COMMANDS):
        return f"{queue}.{key}"[:255]
    return key


def _origin(incoming: Incoming) -> dict[str, str | int | bool | float]:
    headers = incoming.headers_to_keep()
    headers[QUEUE] = incoming.queue
    headers[EXCHANGE] = incoming.exchange
    headers[ROUTING_KEY] = incoming.routing_key
    if incoming.user_id is not None:
        headers[USER] = incoming.user_id
    return headers


def _copy(
    incoming: Incoming, exchange: str, key: str, headers: dict[str, str | int | bool | float]
) -> Publication:
    return Publication(
        exchange=exchange,
        routing_key=key,
        body=incoming.body,
        message_id=incoming.message_id,
        type=incoming.type,
        headers=headers,
        content_type=incoming.content_type,
        reply_to=incoming.reply_to,
        correlation_id=incoming.correlation_id,
    )
