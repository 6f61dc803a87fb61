"""Queries and their answers: from the front door to the owner, by ``reply_to``."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class GetQuota(Message, frozen=True):
    """→ scheduler: what the tenant may hold, and holds."""


class QuotaReported(Message, frozen=True):
    """``limits`` and ``used``: {quota name: amount}; ``waiting`` counts what isn't admitted."""

    limits: dict[str, int]
    used: dict[str, int]
    waiting: int


class GetCapacity(Message, frozen=True):
    """→ scheduler: what the clouds of the tenant can take now."""


class CloudCapacity(Message, frozen=True):
    """One cloud: builds under way, how many at once at most, and recent failures.

    ``resting_until``: it kept failing, so that nothing is placed there before.
    """

    cloud: str
    building: int
    limit: int
    recent_failures: int
    resting_until: Moment | None = None


class CapacityReported(Message, frozen=True):
    """The clouds that the tenant may use, and how many requests wait (of all tenants)."""

    clouds: tuple[CloudCapacity, ...]
    waiting: int


class QueryFailed(Message, frozen=True):
    """The owner's answer when it can't answer: a problem whose ``status`` is the HTTP status."""

    problem: Problem
