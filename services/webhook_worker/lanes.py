"""How much may be under way at once: in all, per tenant, and per lane.

A lane is a tenant's endpoint host, ``<tenant>/<host>:<port>``, so that neither a dead endpoint nor
another tenant's slow one at the same host keeps anybody waiting. A lane whose last try failed has
one slot instead of all of its own: dead endpoints, many as they may be, take little from the rest.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from yarl import URL

#: So many failing lanes are remembered; a forgotten one counts as healthy.
_MAX_REMEMBERED = 10_000
#: An endpoint is left alone for at most so many seconds after one of its answers asked for it.
_MAX_REST = 300.0


def lane_of(tenant: str, url: str) -> str:
    """Return the lane of ``url``, which is of good form (`shared.runtime.url_policy`)."""
    parsed = URL(url)
    return f"{tenant}/{(parsed.raw_host or '').rstrip('.')}:{parsed.port}"


class Lanes:
    """The bounds of one process and what is under way."""

    def __init__(
        self,
        *,
        overall: int,
        per_tenant: int,
        per_lane: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._overall, self._per_tenant, self._per_lane = overall, per_tenant, per_lane
        self._clock = clock
        self._lanes: Counter[str] = Counter()
        self._tenants: Counter[str] = Counter()
        self._failing: OrderedDict[str, float] = OrderedDict()  # lane → rests until

    def allowances(self, lanes: Sequence[str]) -> dict[str, int]:
        """Return how many deliveries may be claimed of each lane, first lanes first; no zeros."""
        left = self._overall - self._lanes.total()
        tenants: dict[str, int] = {}
        allowed: dict[str, int] = {}
        for lane in lanes:
            tenant = _tenant(lane)
            of_tenant = tenants.get(tenant, self._per_tenant - self._tenants[tenant])
            number = min(left, of_tenant, self._free(lane))
            if number > 0:
                allowed[lane] = number
                left -= number
                tenants[tenant] = of_tenant - number
        return allowed

    def _free(self, lane: str) -> int:
        rests_until = self._failing.get(lane)
        if rests_until is None:
            return self._per_lane - self._lanes[lane]
        return 1 - self._lanes[lane] if rests_until <= self._clock() else 0

    def take(self, lane: str) -> None:
        """A delivery of ``lane`` begins."""
        self._lanes[lane] += 1
        self._tenants[_tenant(lane)] += 1

    def give_back(self, lane: str) -> None:
        """A delivery of ``lane`` has ended."""
        for counter, key in ((self._lanes, lane), (self._tenants, _tenant(lane))):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def succeeded(self, lane: str) -> None:
        """The endpoint answers: it has all its slots."""
        self._failing.pop(lane, None)

    def failed(self, lane: str, rest: float | None) -> None:
        """The endpoint failed; it rests for ``rest`` seconds where it asked for that."""
        self._failing[lane] = self._clock() + min(rest or 0.0, _MAX_REST)
        self._failing.move_to_end(lane)
        if len(self._failing) > _MAX_REMEMBERED:
            self._failing.popitem(last=False)

    def next_rest_ends(self) -> float | None:
        """Return the seconds until the first resting lane may go on; None: none rests."""
        now = self._clock()
        waits = [until - now for until in self._failing.values() if until > now]
        return min(waits, default=None)

    @property
    def under_way(self) -> int:
        """How many deliveries are under way."""
        return self._lanes.total()


def _tenant(lane: str) -> str:
    return lane.split("/", 1)[0]
