"""The scheduler's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import DatabaseSettings

_Seconds = Annotated[float, Meta(gt=0, le=86400, description="seconds")]


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """``max_building`` bounds the builds under way on each cloud.

    Open waits are inspected every ``inspect_fast_seconds``, living resources every
    ``inspect_slow_seconds``. Requests count only from ``front_door_user``, whose word on the
    tenant is taken, or from a tenant's own broker user.
    """

    tenants_file: Path
    front_door_user: str = "colobus-front-door"
    max_building: Annotated[int, Meta(ge=1, le=10000)] = 20
    inspect_fast_seconds: _Seconds = 1
    inspect_slow_seconds: _Seconds = 60
    inbox_days: Annotated[int, Meta(ge=1, le=365)] = 7
