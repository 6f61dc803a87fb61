"""The parts of the developer cloud; `COMPONENTS` is their table."""

from __future__ import annotations

from devcloud.component import Component
from devcloud.components.postgresql import PostgreSQL
from devcloud.components.rabbitmq import RabbitMQ

COMPONENTS: tuple[type[Component], ...] = (
    RabbitMQ,
    PostgreSQL,
)
