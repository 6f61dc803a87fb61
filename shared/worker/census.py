"""What a backend holds of this installation, in the shape that every worker's census has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Holding:
    """One object of ours in a backend.

    ``what`` is the backend's word for it (server, port, floating_ip); ``resource_id`` is None for
    what serves a tenant as a whole. ``place`` names the backend (the cloud).
    """

    what: str
    id: str
    place: str
    tenant: str
    resource_id: str | None
    name: str | None = None
    status: str | None = None
