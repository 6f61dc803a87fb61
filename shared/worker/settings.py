"""What every worker can be told."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import CommonSettings


class WorkerSettings(CommonSettings, frozen=True, kw_only=True):
    """``command_prefetch`` is how many commands are here at once, at most, under way or waiting.

    Some eight times as many as may be at work: of more, many would wait out their patience.
    """

    command_prefetch: Annotated[int, Meta(ge=1, le=1000)] = 128
