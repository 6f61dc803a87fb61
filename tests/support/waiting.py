"""Waiting for a VM as the client does; when it takes too long, all that is known of it is said."""

from __future__ import annotations

import msgspec

from colobus import Client, Phase, WaitTimeout
from colobus.models import Operation, Resource
from tests.support.conditions import eventually


async def waited(
    client: Client, id: str, until: Phase = Phase.ACTIVE, *, timeout: float = 240
) -> Resource:
    """Return the resource once it is in that phase; else fail with its status, steps and errors."""
    try:
        return await client.wait(id, until, timeout=timeout)
    except WaitTimeout as late:
        status = msgspec.json.format(msgspec.json.encode(late.resource.status)).decode()
        raise AssertionError(f"{late} after {timeout:g} s:\n{status}") from late


async def operation_ended(client: Client, asked: Resource, *, timeout: float = 240) -> Operation:
    """Return the operation that was asked for last, when it has ended, well or not."""
    id = asked.status.operations[-1].id

    async def ended() -> Operation | None:
        operations = (await client.get(asked.id)).status.operations
        return next((one for one in operations if one.id == id and one.finished_at), None)

    return await eventually(ended, within=timeout, what=f"operation {id} ends")
