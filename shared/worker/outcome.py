"""Outcomes become events: envelopes that tell whose command they answer, with ids that repeat.

The id of an event is made of its command's id and of what it says: a second delivery of the command
that comes to the same answers with the same ids, and the scheduler's inbox drops what it has
already absorbed. Where it comes to something else, another server for instance, it must be heard.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec

from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import kind_of
from shared.contract.kinds import KINDS
from shared.contract.messages import CommandFailed, Message
from shared.contract.outgoing import OutgoingMessage
from shared.contract.problems import Reason
from shared.runtime import tracing
from shared.runtime.errors import ColobusError, OutcomeUnknown, TemporaryError
from shared.worker.command import Answer, Command, Observation

#: Reasons that say that the backend could not cope, as against what it refused.
OVERLOAD = frozenset({Reason.BACKEND_UNAVAILABLE, Reason.BACKEND_TIMEOUT})


def expired() -> TemporaryError:
    """The failure of a command that came too late to start."""
    return TemporaryError(
        "The command came after the time until which it may start.",
        reason=Reason.COMMAND_EXPIRED,
    )


def busy() -> TemporaryError:
    """The failure of a command that found no place on its backend in time: it was not asked.

    So it is no failure of the backend's, and its reason is none that counts against one.
    """
    return TemporaryError(
        "The cloud is busy with others' commands; this one is sent again in a while.",
        reason=Reason.NO_CAPACITY,
    )


def failed(command: Command[Message], error: ColobusError) -> CommandFailed:
    """The answer to a command that ended in ``error``."""
    return CommandFailed(
        command=command.envelope.message_name,
        problem=error.problem(),
        retryable=isinstance(error, TemporaryError),
        operation_id=getattr(command.message, "operation_id", None),
        unknown=isinstance(error, OutcomeUnknown),
        retry_after=_whole_seconds(error),
    )


def _whole_seconds(error: ColobusError) -> int | None:
    wish = error.retry_after if isinstance(error, TemporaryError) else None
    return None if wish is None else math.ceil(wish)


def is_overload(error: ColobusError) -> bool:
    """Tell whether the backend could not cope with the load."""
    return isinstance(error, TemporaryError) and error.reason in OVERLOAD


def events(
    source: str, kind: str, command: Command[Message], answers: Sequence[Answer]
) -> list[OutgoingMessage]:
    """Return the answers ready for ``colobus.events``, under ids that a repeat makes again.

    Their routing keys name the kind of what they are about where it is one of this worker's, and
    else ``kind``: each word belongs to one worker, and the broker lets no other write under it.
    """
    return [_event(source, kind, command, answer) for answer in answers]


def _event(source: str, kind: str, command: Command[Message], answer: Answer) -> OutgoingMessage:
    asked = command.envelope
    about_other = isinstance(answer, Observation)
    message = answer.message if isinstance(answer, Observation) else answer
    subject = answer.resource_id if isinstance(answer, Observation) else asked.subject
    said = hashlib.sha256(msgspec.json.encode(message, order="sorted")).hexdigest()[:12]
    name = f"{type(message).__name__}/{said}"
    envelope = envelope_for(
        message,
        id=f"{asked.id}/{name}/{subject}" if about_other else f"{asked.id}/{name}",
        source=source,
        subject=subject,
        tenant=answer.tenant if isinstance(answer, Observation) else asked.tenant,
        correlationid=asked.correlationid,
        causationid=asked.id,
        traceparent=tracing.traceparent() or asked.traceparent,
        attempt=None if about_other else asked.attempt,
        step=None if about_other else asked.step,
    )
    return outgoing.event(_word(source, kind, subject), envelope, message)


def _word(source: str, own: str, subject: str) -> str:
    kind = KINDS.get(kind_of(subject))
    return kind.name if kind is not None and kind.worker == source else own
