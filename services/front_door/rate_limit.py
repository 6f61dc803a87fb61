"""A token bucket per tenant: bursts pass, a flood is told when to come again."""

from __future__ import annotations

import time
from collections.abc import Callable

from services.front_door.faults import too_many


class RateLimit:
    """``rate`` requests per second and tenant, ``burst`` at once; of this replica alone."""

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        #: Tenant → (tokens left, when that was). Tenants are those of a file, so it is bounded.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str) -> None:
        """Count one request; raises `RequestFault` 429 when the bucket is empty."""
        now = self._clock()
        tokens, since = self._buckets.get(tenant, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        if tokens < 1:
            self._buckets[tenant] = (tokens, now)
            raise too_many("Too many requests of this tenant.", (1 - tokens) / self._rate)
        self._buckets[tenant] = (tokens - 1, now)
