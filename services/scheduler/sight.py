"""What an observation is: asked for by an inspection, or told by the backend itself. Pure."""

from __future__ import annotations

from services.scheduler.walk import Walk
from shared.contract.messages import Message


def is_told(seen: Message) -> bool:
    """Tell whether the backend said so by itself; no inspection had asked."""
    return bool(getattr(seen, "notified", False))


def is_current(walk: Walk, seen: Message) -> bool:
    """Tell whether an observation is about the object that the resource now is.

    An inspection is: it was asked about the resource, and looks for what bears its marks.
    """
    return not is_told(seen) or walk.definition.is_about(walk.state, seen)
