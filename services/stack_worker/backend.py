"""What we ask of a cloud, as Protocols; `heat_calls` is what answers.

All calls are about one tenant's project. Errors come out as `TemporaryError` (the outcome of a
create is then unknown) or as one of `shared.worker.errors`. Nothing starts after the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from shared.runtime.deadline import Deadline

#: A HOT template, as text or as an object.
Template = str | dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """A stack as Heat shows it; ``status`` in its own words (``CREATE_COMPLETE``)."""

    id: str
    name: str
    status: str
    reason: str = ""
    tags: tuple[str, ...] = ()
    created_at: str = ""


@dataclass(frozen=True, kw_only=True)
class NewStack:
    """A stack to be made. ``timeout``: minutes; ``parameters`` may hold secrets: never log it.

    ``masked`` tells Heat's words without those. Of a change: a template of None is the one that
    Heat has, and parameters that ``clear`` names have the template's default again.
    """

    name: str
    template: Template | None
    parameters: Mapping[str, Any] = field(repr=False)
    tags: tuple[str, ...]
    masked: Callable[[str], str] = field(repr=False)
    timeout: int | None = None
    clear: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """The names of a template's parameters: all, and those that it marks hidden."""

    names: frozenset[str]
    hidden: frozenset[str]


@dataclass(frozen=True)
class Part:
    """A resource of a stack; ``physical_id`` is that of what it is in its own service.

    ``stack_id`` is that of the stack it is in: this one, or one that is nested in it.
    """

    name: str
    type: str
    status: str
    reason: str
    physical_id: str
    stack_id: str = ""


@dataclass(frozen=True)
class PartEvent:
    """What Heat noted when a part came to be in this state."""

    stack_id: str
    name: str
    status: str
    at: datetime


class Project(Protocol):
    """One tenant's project on one cloud, for as long as one command may work."""

    @property
    def cloud(self) -> str:
        """The cloud's name in clouds.yaml."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""

    async def declared(self, template: Template) -> Declared:
        """Have Heat look at a template; return which parameters it has.

        Raises `Refused` with Heat's own line when it is none, or names what Heat doesn't know.
        """

    async def create_stack(self, new: NewStack) -> str:
        """Start making a stack; returns its id. `Conflict` when the project has that name."""

    async def change_stack(self, stack: Stack, new: NewStack) -> None:
        """Start changing a stack; parameters that are not named stay as they are."""

    async def stack(self, name: str) -> Stack | None:
        """Return the living stack of this name or id; None when Heat has none."""

    async def template(self, stack: Stack) -> dict[str, Any]:
        """Return the template that Heat has of a living stack; raises `NotFound`."""

    async def named(self, name: str) -> list[Stack]:
        """Return all living stacks of this name: there may be more than one."""

    async def stacks(self, *tags: str) -> list[Stack]:
        """Return the living stacks that have all these tags."""

    async def delete_stack(self, stack: Stack) -> bool:
        """Start deleting; False when there is no such stack any more."""

    async def parts(self, stack: Stack) -> list[Part]:
        """Return what the stack is made of, those of nested ones too; [] when it is gone."""

    async def events(self, stack: Stack) -> list[PartEvent]:
        """Return the latest events of its parts, the oldest first; [] when it is gone."""

    async def outputs(self, stack: Stack) -> dict[str, Any] | None:
        """Return the stack's outputs; None when it is gone."""

    async def server_statuses(self, ids: Collection[str]) -> dict[str, str]:
        """Return what Nova says of these servers, of those that it knows: {id: status}."""


class Backend(Protocol):
    """All clouds of this worker."""

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> Project:
        """Return the tenant's project; `PermanentError` (no_cloud) where it has none there."""


#: What the type of a server is called in a template.
SERVER = "OS::Nova::Server"


def servers_of(parts: Sequence[Part]) -> list[Part]:
    """Return the servers among these, which Heat has made."""
    return [one for one in parts if one.type == SERVER and one.physical_id]
