"""The hands of the ledger's state machine: what acts, what is under way, and what the books say.

`act` lets the scheduler do something, reads all rows afterwards, and looks at each new command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from services.scheduler import timers
from services.scheduler.state import ResourceState
from shared.contract import topology
from shared.contract.codec import Envelope, decode
from shared.contract.messages import InspectVms, Message, RemoveOrphan, ResourceStatusChanged
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import TERMINAL_PHASES
from tests.integration.scheduler.clouds import Clouds
from tests.integration.scheduler.desk import Desk
from tests.integration.scheduler.shelf import Killed

T = TypeVar("T")


@dataclass(frozen=True)
class Mail:
    """A command on its way; ``copy``: it was delivered before, or may have been published twice."""

    envelope: Envelope
    message: Message
    copy: bool = False

    @property
    def key(self) -> tuple[str, str | None]:
        """Whose step it is for."""
        return self.envelope.subject, self.envelope.step


@dataclass(frozen=True)
class Event:
    """Something that a worker says, with the attributes that make it the same when repeated."""

    message: Message
    subject: str
    tenant: str
    attributes: dict[str, Any]


#: The rows of resources, of usage, and of timers, in an order that a replay has too.
Books = tuple[dict[str, ResourceState], dict[tuple[str, str], int], list[tuple[str, str]]]


class LedgerHands(RuleBasedStateMachine):
    """What a machine's rules are made of.

    ``mail`` and ``events`` are what is under way, ``heard`` what was delivered; ``states``,
    ``used`` and ``due`` are the ledger's rows after the last action.
    """

    desk: ClassVar[Desk]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.clouds = Clouds()
        self.vms: dict[str, str] = {}
        self.mail: list[Mail] = []
        self.events: list[Event] = []
        self.heard: list[Event] = []
        self.told: dict[str, list[int]] = {}
        self.states: dict[str, ResourceState] = {}
        self.used: dict[tuple[str, str], int] = {}
        self.due: list[tuple[str, str]] = []
        self.run(self.desk.forget_everything())
        self.desk.shelf.dead = self.desk.shelf.dying = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def act(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """The scheduler does something; what it publishes is on its way, its rows are read."""
        try:
            self.run(coroutine)
        except Killed:
            assert self.desk.shelf.dying, "nobody killed it"
        self.desk.shelf.dead = self.desk.shelf.dying = False
        self.states, self.used, self.due = self.run(self._books())
        self._take(self.desk.shelf.sent, copy=False)

    def _take(self, sent: list[OutgoingMessage], *, copy: bool) -> None:
        for one in sent:
            envelope, message = decode(one.body)
            if isinstance(message, ResourceStatusChanged):
                self.told.setdefault(envelope.subject, []).append(message.resource.revision)
            elif one.exchange == topology.COMMANDS and not isinstance(message, InspectVms):
                mail = Mail(envelope, message, copy)
                self._check_new(mail)
                self.mail.append(mail)
        sent.clear()

    def _check_new(self, mail: Mail) -> None:
        """A command is for an open attempt of a step, and the only one of it that may start."""
        state = self.states[mail.envelope.subject]
        if isinstance(mail.message, RemoveOrphan):
            assert state.phase in TERMINAL_PHASES, "only what has ended has orphans here"
            return
        if mail.copy:
            return
        progress = state.progress[mail.envelope.step or ""]
        assert (progress.attempt, progress.answered) == (mail.envelope.attempt, False)
        assert all(other.copy or other.key != mail.key for other in self.mail)

    # ---- the machine's hands

    def _vm(self, which: int) -> str:
        return list(self.vms)[which % len(self.vms)]

    @staticmethod
    def _pick(where: list[T], which: int) -> T:
        return where.pop(which % len(where))

    def _kill(self, when: str) -> None:
        self.desk.shelf.dying = when == "before the commit"
        self.desk.shelf.dead = when == "after it"

    def _answer(self, mail: Mail, answer: Message) -> None:
        asked = mail.envelope
        attributes = {
            "id": f"{asked.id}/{type(answer).__name__}",
            "step": asked.step,
            "attempt": asked.attempt,
            "causationid": asked.id,
        }
        self.events.append(Event(answer, asked.subject, asked.tenant, attributes))

    def _see(self, state: ResourceState) -> None:
        vm = state.resource.id
        self.events.append(Event(self.clouds.look(state.place, vm), vm, self.vms[vm], {}))

    async def _deliver(self, event: Event) -> None:
        await self.desk.event(event.message, event.subject, event.tenant, **event.attributes)

    async def _ring(self, vm: str, name: str) -> None:
        """The timer's time has passed, and with it that of all that was waited for till then."""
        async with self.desk.database.connection() as connection:
            await connection.execute(
                "UPDATE resources SET state = regexp_replace(state::text,"
                """ '("unknown_until": )"[^"]*"', '\\1"2000-01-01T00:00:00Z"', 'g')::jsonb"""
                " WHERE id = $1",
                vm,
            )
            await connection.execute(
                "UPDATE timers SET due_at = now() - interval '1 second'"
                " WHERE resource_id = $1 AND name = $2",
                *(vm, name),
            )
        await timers._ring(self.desk.context, vm, name)

    async def _books(self) -> Books:
        states = await self.desk.states()
        async with self.desk.database.connection() as connection:
            usage = await connection.fetch("SELECT tenant, name, amount FROM usage")
            due = await connection.fetch("SELECT resource_id, name FROM timers")
        order = {vm: place for place, vm in enumerate(self.vms)}
        return (
            {vm: states[vm] for vm in self.vms if vm in states},
            {(row["tenant"], row["name"]): row["amount"] for row in usage},
            sorted(
                ((row["resource_id"], row["name"]) for row in due),
                key=lambda one: (order[one[0]], one[1]),
            ),
        )
