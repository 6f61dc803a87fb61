"""Where messages go that a scheduler in this process sends: onto a shelf, and into a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from shared.bus import Bus, Delivery
from shared.contract.messages import Message
from shared.contract.outgoing import OutgoingMessage
from shared.storage import Connection, Database, Outbox
from shared.storage.outbox import OutboxBatch


class Killed(BaseException):
    """The process died before it could commit: nobody is there to catch it."""


class Shelf(Outbox):
    """An outbox whose messages the test takes itself.

    ``dying``: the process dies before its next commit; ``dead``: after it, before it publishes.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database, cast(Bus, None))
        self.published: set[int] = set()
        self.sent: list[OutgoingMessage] = []
        self.dead = self.dying = False

    async def put(self, tx: Connection, messages: Sequence[OutgoingMessage]) -> OutboxBatch:
        if self.dying:
            raise Killed
        return await super().put(tx, messages)

    def send(self, batch: OutboxBatch) -> None:
        if self.dead:
            return
        self.sent.extend(row.message for row in batch.rows)
        self.published.update(row.position for row in batch.rows)


class Answers:
    """The bus, as far as handlers use it: answers to requests are kept."""

    def __init__(self) -> None:
        self.kept: list[Message] = []

    async def reply(self, delivery: Delivery, message: Message, *, subject: str) -> None:
        del delivery, subject
        self.kept.append(message)
