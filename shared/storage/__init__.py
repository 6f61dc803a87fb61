"""What services keep in PostgreSQL: the database itself, the inbox, the outbox, migrations."""

from shared.storage.database import Connection, Database
from shared.storage.gathering import Gathering
from shared.storage.inbox import first_deliveries, first_delivery, forget_old
from shared.storage.outbox import Outbox, OutboxBatch

__all__ = [
    "Connection",
    "Database",
    "Gathering",
    "Outbox",
    "OutboxBatch",
    "first_deliveries",
    "first_delivery",
    "forget_old",
]
