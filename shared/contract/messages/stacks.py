"""The stack_worker's commands and events: stacks that Heat makes of a template."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class ProvisionStack(Message, frozen=True):
    """Start making a stack of ``template`` (HOT, as text or as an object) or ``template_name``.

    ``sealed_hidden_parameters`` is a base64 sealed box of a JSON object. ``timeout``: after so many
    seconds Heat gives up.
    """

    cloud: str
    template: str | dict[str, Any] | None = None
    template_name: str | None = None
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    sealed_hidden_parameters: str | None = None
    timeout: int | None = None


class DeprovisionStack(Message, frozen=True):
    """Delete the stack and all that it made, found by id or by its name."""

    cloud: str
    stack_id: str | None = None


class ChangeStack(Message, frozen=True):
    """Have Heat change a living stack to this template and these, its parameters altogether.

    ``named`` are those that the change itself names; ``sealed_before`` are boxes of the hidden ones
    that it was given before, which Heat may quote. With ``stored_template`` it names no template:
    then it is the one that Heat has, whatever the catalog has of this name by now.
    """

    cloud: str
    stack_id: str
    operation_id: str
    template: str | dict[str, Any] | None = None
    template_name: str | None = None
    stored_template: bool = False
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    named: tuple[str, ...] = ()
    sealed_hidden_parameters: str | None = None
    sealed_before: tuple[str, ...] = ()


class StackInspection(Message, frozen=True):
    """One stack to look at; None: Heat was asked for it and has not answered.

    ``with_times``: its parts change, or have changed, so Heat is asked when it began with each.
    ``sealed_hidden_parameters``: all boxes of those that it was given, which Heat may quote.
    """

    resource_id: str
    tenant: str
    stack_id: str | None = None
    with_times: bool = False
    sealed_hidden_parameters: tuple[str, ...] = ()


class InspectStacks(Message, frozen=True):
    """Look at all these stacks of one cloud with as few calls as possible."""

    cloud: str
    stacks: tuple[StackInspection, ...]


class StackCreateStarted(Message, frozen=True):
    """Heat has accepted the stack; the open step now waits for `StackObserved`."""

    stack_id: str


class StackChangeStarted(Message, frozen=True):
    """Heat has accepted the change; the operation now waits for `StackObserved`."""

    operation_id: str


class StackDeletionStarted(Message, frozen=True):
    """Heat has accepted the deletion; the open undo waits for `StackObserved` with ``gone``."""

    stack_id: str


class StackDeprovisioned(Message, frozen=True):
    """No stack of this resource is left."""


class StackPart(Message, frozen=True):
    """A resource of a stack, in Heat's words: its name in the template, its type and state.

    Where it is in a nested stack, the name of what that is comes before its own (``workers/0``).
    The times are those of Heat's events; None: not asked for, or not there (yet).
    """

    name: str
    type: str
    status: str
    reason: str | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None


class StackObserved(Message, frozen=True):
    """What Heat said of one stack at ``observed_at``, in its own words (``CREATE_COMPLETE``).

    ``gone``: Heat knows no such stack any more. ``parts`` are what it is made of, and
    ``more_parts`` is how many besides: told of first are those that have failed, then those under
    way. ``unproven``: of a complete one, the servers that Nova does not show ACTIVE, each with what
    it shows instead. ``outputs`` is None while they were not asked for; ``left_out`` names those
    that are too large to be told.
    """

    observed_at: Moment
    stack_id: str | None = None
    gone: bool = False
    stack_status: str | None = None
    status_reason: str | None = None
    parts: tuple[StackPart, ...] = ()
    more_parts: int = 0
    unproven: tuple[str, ...] = ()
    outputs: dict[str, Any] | None = None
    left_out: tuple[str, ...] = ()


class StackInspectionFailed(Message, frozen=True):
    """Heat could not be asked about these stacks."""

    cloud: str
    resource_ids: tuple[str, ...]
    problem: Problem
