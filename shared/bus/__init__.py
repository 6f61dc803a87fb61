"""The bus: the only room that speaks AMQP. `Bus` is the door."""

from shared.bus.answers import QueryHandler, Refusals
from shared.bus.bus import Bus
from shared.bus.consumer import Consumer, Handler
from shared.bus.delivery import Delivery
from shared.bus.errors import (
    FORBIDDEN,
    BusUnavailable,
    ConsumerLost,
    PublishFailed,
    PublishRefused,
    QueryRefused,
    QueryTimeout,
    QueryUndelivered,
    RejectedMessage,
    TopologyMissing,
    Unroutable,
)
from shared.bus.notifications import Notifications
from shared.bus.opening import open_bus
from shared.bus.query_table import QueryHandlers, answering

__all__ = [
    "FORBIDDEN",
    "Bus",
    "BusUnavailable",
    "Consumer",
    "ConsumerLost",
    "Delivery",
    "Handler",
    "Notifications",
    "PublishFailed",
    "PublishRefused",
    "QueryHandler",
    "QueryHandlers",
    "QueryRefused",
    "QueryTimeout",
    "QueryUndelivered",
    "Refusals",
    "RejectedMessage",
    "TopologyMissing",
    "Unroutable",
    "answering",
    "open_bus",
]
