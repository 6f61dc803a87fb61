"""Requests, of the front door or a CI system to the scheduler; answers to their ``reply_to``."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Resource, Verb


class RequestSubmitted(Message, frozen=True):
    """Somebody asks for ``verb`` on a resource. Secret fields of ``spec`` are sealed already.

    ``resource_id`` is minted by the front door for its own creates, and by the scheduler (None) for
    those from the bus; every other verb names it. ``operation_id`` names a power verb, or an update
    of the spec. ``lease_ttl`` and ``deadline`` are seconds. ``spec`` is complete for create, and
    what changes for update. ``labels`` of None leaves labels as they are.
    ``force`` (delete): don't wait for those who still use it.
    """

    verb: Verb
    kind: str
    resource_id: str | None = None
    operation_id: str | None = None
    name: str | None = None
    labels: dict[str, str] | None = None
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    lease_ttl: int | None = None
    deadline: int | None = None
    callback_url: str | None = None
    force: bool = False


class RequestAccepted(Message, frozen=True):
    """The ledger has the request. ``resource`` is as it was then; its id is in every status.

    ``repeated``: this very request (tenant, source, id) had been accepted before.
    """

    resource: Resource
    repeated: bool = False


class RequestRefused(Message, frozen=True):
    """Nothing was done: what is wrong with the request, field by field where it can be told."""

    problem: Problem
