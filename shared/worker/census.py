"""A census becomes events: cut into parts that a message can hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from shared.contract.codec import MAX_BYTES
from shared.contract.messages import CensusTaken, Holding, TakeCensus
from shared.worker.command import Command, Observation

#: How many bytes of holdings one part has at most: a message has its bound, and its envelope.
PART_BYTES = MAX_BYTES // 2

_encoder = msgspec.json.Encoder()


def census_taken(
    command: Command[TakeCensus],
    taken_at: datetime,
    holdings: Sequence[Holding],
    left_out: Sequence[str] = (),
) -> list[Observation]:
    """Return the census in parts, all of them; ``taken_at`` is before the first question.

    ``left_out`` are tenants of whose things nothing could be found out.
    """
    groups = list(in_parts(holdings))
    return [
        Observation(
            f"{command.resource_id}/{number}",
            command.tenant,
            CensusTaken(
                place=command.message.place,
                taken_at=taken_at,
                holdings=tuple(group),
                part=number,
                parts=len(groups),
                left_out=tuple(left_out),
            ),
        )
        for number, group in enumerate(groups, start=1)
    ]


def in_parts(holdings: Sequence[Holding], at_most: int = PART_BYTES) -> Iterator[list[Holding]]:
    """Cut a census so that each part has at most so many bytes; an empty one is one part. Pure."""
    group: list[Holding] = []
    size = 0
    for holding in holdings:
        bytes_more = len(_encoder.encode(holding)) + 1
        if group and size + bytes_more > at_most:
            yield group
            group, size = [], 0
        group.append(holding)
        size += bytes_more
    yield group
