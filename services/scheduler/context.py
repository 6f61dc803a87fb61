"""What handlers, rounds and timers work with, wired once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

from services.scheduler.changing import Change, make_changes
from services.scheduler.creating import Creation, create_all
from services.scheduler.ledger import Ledger, Transaction
from services.scheduler.setbacks import Setbacks
from services.scheduler.settings import Settings
from services.scheduler.telling import log_statuses
from shared.bus import Bus
from shared.contract.outgoing import OutgoingMessage
from shared.runtime.tenants import Tenants
from shared.storage import Database, Gathering, Outbox


class Recording:
    """One transaction of the ledger and the messages that are to go out when it is committed."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.messages: list[OutgoingMessage] = []

    def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Send these with the commit."""
        self.messages.extend(messages)


@dataclass(frozen=True)
class Context:
    """The scheduler's parts."""

    settings: Settings
    tenants: Tenants
    database: Database
    bus: Bus
    outbox: Outbox
    ledger: Ledger
    #: Set when a round of admission may find something to do.
    admission_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    #: Rows that these loops could not handle: timers by "resource/name", resources by id.
    timers_aside: Setbacks = field(default_factory=partial(Setbacks, "timers"))
    waiting_aside: Setbacks = field(default_factory=partial(Setbacks, "admission"))

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[Recording]:
        """Change and outgoing messages in one transaction; after the commit they are published."""
        async with self.database.transaction() as tx:
            recording = Recording(tx)
            yield recording
            batch = await self.outbox.put(tx, recording.messages)
        self.outbox.send(batch)
        log_statuses(recording.messages)

    @cached_property
    def changes(self) -> Gathering[Change, None]:
        """Changes of resources, made together; in the order of their arrival: one lane."""
        return Gathering(self._change_all, lanes=1)

    @cached_property
    def creations(self) -> Gathering[Creation, bool]:
        """The front door's new resources, recorded together."""
        return Gathering(self._create_all)

    async def _create_all(self, creations: Sequence[Creation]) -> Sequence[bool]:
        async with self.recording() as recording:
            created = await create_all(recording.tx, self.ledger, creations)
            recording.send(created.messages)
        return created.new

    async def _change_all(self, changes: Sequence[Change]) -> Sequence[None]:
        async with self.recording() as recording:
            changed = await make_changes(recording.tx, self.ledger, changes)
            recording.send(changed.messages)
        if changed.moved:
            self.admission_wanted.set()
        return [None] * len(changes)
