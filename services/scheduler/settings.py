"""The scheduler's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import DatabaseSettings

_Seconds = Annotated[float, Meta(gt=0, le=86400, description="seconds")]


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """``max_building`` bounds the builds under way on each cloud.

    Open waits are inspected every ``inspect_fast_seconds``; where the cloud's own notifications are
    relied on every ``inspect_pushed_seconds``, those that have been quiet for so long; living
    resources every ``inspect_slow_seconds``. Requests count only from ``front_door_user``, whose
    word on the tenant is taken, or from a tenant's own broker user, whose callbacks may go to
    public addresses and to ``webhook_allowed_networks`` (CIDRs).

    A cloud that fails ``rest_failures`` times within ``rest_within_seconds``, and makes nothing
    between, rests for ``rest_seconds``, then twice as long each time, up to ``rest_most_seconds``.

    Every ``census_seconds`` each cloud is asked what it holds. What belongs to a resource that
    ended is an orphan when two censuses begun ``orphan_margin_seconds`` after its end show it: the
    margin must be longer than the clocks of scheduler and workers are apart.

    What ended (was deleted, or failed) is known for ``retention_days``, and a day longer; the same
    setting of the front door says for how long it is shown.
    """

    tenants_file: Path
    census_seconds: _Seconds = 60
    orphan_margin_seconds: _Seconds = 120
    front_door_user: str = "colobus-front-door"
    webhook_allowed_networks: tuple[str, ...] = ()
    max_building: Annotated[int, Meta(ge=1, le=10000)] = 20
    inspect_fast_seconds: _Seconds = 1
    inspect_pushed_seconds: _Seconds = 20
    inspect_slow_seconds: _Seconds = 60
    rest_failures: Annotated[int, Meta(ge=1, le=1000)] = 5
    rest_within_seconds: _Seconds = 60
    rest_seconds: _Seconds = 10
    rest_most_seconds: _Seconds = 120
    inbox_days: Annotated[int, Meta(ge=1, le=365)] = 7
    retention_days: Annotated[int, Meta(ge=3, le=3650)] = 30
