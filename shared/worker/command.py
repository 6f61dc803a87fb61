"""A command as its handler gets it, and what a handler may answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from shared.bus import Delivery
from shared.contract.codec import Envelope
from shared.contract.messages import Message
from shared.runtime.deadline import Deadline

#: How long a command without ``not_after`` may work, in seconds.
DEFAULT_LIFE = 60.0

M = TypeVar("M", bound=Message, covariant=True)
C = TypeVar("C")


@dataclass(frozen=True)
class Command(Generic[M]):
    """One delivery of a command.

    ``repeated``: this may have been begun before (redelivered, republished, or a later attempt), so
    look before you make. ``redelivered``: whoever began it may have died a moment ago, and what it
    asked of the backend may still be under way. ``deadline``: start nothing after it.
    """

    message: M
    envelope: Envelope
    repeated: bool
    deadline: Deadline
    redelivered: bool = False

    @classmethod
    def of(cls, delivery: Delivery) -> Command[Message]:
        """Return the command that was delivered."""
        envelope = delivery.envelope
        later_attempt = envelope.attempt is not None and envelope.attempt > 1
        not_after = envelope.not_after
        deadline = Deadline.until(not_after) if not_after else Deadline.after(DEFAULT_LIFE)
        repeated = delivery.repeated or later_attempt
        return Command(delivery.message, envelope, repeated, deadline, delivery.repeated)

    @property
    def resource_id(self) -> str:
        """The resource that the command is about."""
        return self.envelope.subject

    @property
    def tenant(self) -> str:
        """Whose resource it is."""
        return self.envelope.tenant


@dataclass(frozen=True)
class Observation:
    """An event about a resource that the command did not name as its subject, and of no step."""

    resource_id: str
    tenant: str
    message: Message


#: What a handler returns: events about the command's own resource, or about others.
Answer: TypeAlias = Message | Observation
#: One function per command. Raises `TemporaryError` or `PermanentError`.
CommandHandler: TypeAlias = Callable[[Command[Any], C], Awaitable[Sequence[Answer]]]
#: The map of a worker: which function handles which command.
Handlers: TypeAlias = Mapping[type[Message], CommandHandler[C]]
