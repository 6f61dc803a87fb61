"""What everybody hears: the resource as it now is."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.resources import Phase, Resource


class ResourceStatusChanged(Message, frozen=True):
    """The resource as it now is. ``callback_url`` travels in every status of a resource with one.

    ``previous_phase`` lets a reader tell a change of phase from a change within it.
    """

    resource: Resource
    previous_phase: Phase | None = None
    callback_url: str | None = None
