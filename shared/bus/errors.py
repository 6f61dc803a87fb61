"""What can go wrong on the bus, said so that callers know whether to try again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.contract.problems import FieldError, Problem, Reason
from shared.runtime.errors import BackendUnavailable, ColobusError, PermanentError, TemporaryError

#: The reason of what is refused for who said it, as against what was said.
FORBIDDEN = "forbidden"


class BusUnavailable(BackendUnavailable):
    """No broker can be reached, or the bus was closed."""


class PublishFailed(BackendUnavailable):
    """The broker has not confirmed the message in time; it may or may not have it."""


class Unroutable(PermanentError):
    """No queue takes the message (mandatory), or its exchange doesn't exist."""


class PublishRefused(PermanentError):
    """The broker refuses this message from this user, or it can't be put into AMQP at all."""


class TopologyMissing(PermanentError):
    """Something that the admin step declares is not there; ``missing`` names each."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"not declared on the broker: {', '.join(missing)}; "
            "run `python -m services.admin install`"
        )
        self.missing = missing


class ConsumerLost(Exception):
    """A consumer could not be re-made for too long although the broker is there."""


class RejectedMessage(PermanentError):
    """A handler's verdict: this message is not acceptable, now or later; to the dead letters.

    ``errors`` name the fields at fault, for the sender where it is told.
    """

    def __init__(
        self,
        detail: str,
        *,
        reason: Reason | str = Reason.COMMAND_REJECTED,
        status: int | None = None,
        errors: Iterable[FieldError] = (),
    ) -> None:
        super().__init__(detail, reason=reason, status=status)
        self.errors = tuple(errors)

    def problem(self, status: int | None = None) -> Problem:
        """Return the RFC 9457 problem with its field errors."""
        return msgspec.structs.replace(super().problem(status), errors=self.errors)


class QueryTimeout(TemporaryError):
    """The owner has not answered in time, or can't be reached."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason=Reason.BACKEND_TIMEOUT, status=504)


class QueryUndelivered(QueryTimeout):
    """The query can't even be handed to its owner: its queue is missing or full."""


class QueryRefused(ColobusError):
    """The owner answered with a problem, which `problem` returns in the owner's own words."""

    def __init__(self, answer: Problem) -> None:
        super().__init__(
            answer.detail or answer.title,
            reason=answer.reason,
            title=answer.title,
            status=answer.status,
        )
        self.answer = answer

    def problem(self, status: int | None = None) -> Problem:
        """Return the owner's problem; ``status`` stands in when the owner gave none."""
        if self.answer.status is None and status is not None:
            return Problem(
                **{f: getattr(self.answer, f) for f in Problem.__struct_fields__ if f != "status"},
                status=status,
            )
        return self.answer
