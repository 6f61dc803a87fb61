"""Waiting for a VM as the client does; when it takes too long, all that is known of it is said."""

from __future__ import annotations

import msgspec

from colobus import Client, Phase, WaitTimeout
from colobus.models import Resource


async def waited(
    client: Client, id: str, until: Phase = Phase.ACTIVE, *, timeout: float = 240
) -> Resource:
    """Return the resource once it is in that phase; else fail with its status, steps and errors."""
    try:
        return await client.wait(id, until, timeout=timeout)
    except WaitTimeout as late:
        status = msgspec.json.format(msgspec.json.encode(late.resource.status)).decode()
        raise AssertionError(f"{late} after {timeout:g} s:\n{status}") from late
