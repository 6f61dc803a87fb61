"""The settings of the webhook worker; times are in seconds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import DatabaseSettings, Secret

#: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h: eight tries in 31 hours.
RETRY_SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0)
_DAY = 86400.0

PositiveSeconds = Annotated[float, Meta(gt=0, description="seconds, more than 0")]
Count = Annotated[int, Meta(ge=1, description="a whole number from 1")]


class WebhookSettings(DatabaseSettings, frozen=True, kw_only=True):
    """``webhook_retry_schedule``: the waits after the first, second, … failed try of a message."""

    master_key: Secret
    webhook_allowed_networks: tuple[str, ...] = ()
    webhook_retry_schedule: tuple[PositiveSeconds, ...] = RETRY_SCHEDULE
    webhook_timeout: PositiveSeconds = 15
    #: How long a replica has a delivery for itself: the timeout and ample time to record.
    webhook_lease: PositiveSeconds = 45
    #: How long a secret that was rotated out signs along.
    webhook_rotation_overlap: PositiveSeconds = _DAY
    webhook_concurrency: Count = 256
    webhook_tenant_concurrency: Count = 64
    webhook_endpoint_concurrency: Count = 8
    webhook_subscription_limit: Count = 100
    webhook_retention: PositiveSeconds = 30 * _DAY
    #: An endpoint is disabled when so many messages in a row were given up …
    webhook_disable_after_messages: Count = 100
    #: … or when nothing has come through for so long.
    webhook_disable_after: PositiveSeconds = 5 * _DAY
