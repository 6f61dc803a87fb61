"""What the operator sees of the ledger in Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.contract.resources import Phase, Resource
from shared.runtime.metrics import REGISTRY

RESOURCES = Gauge(
    "colobus_resources",
    "Resources in the ledger that have not ended; every replica counts them all",
    ["kind", "tenant", "phase"],
    registry=REGISTRY,
)
TIMERS = Gauge("colobus_timers", "Timers that are set", registry=REGISTRY)
OLDEST_WAITING = Gauge(
    "colobus_oldest_waiting_seconds", "Age of the oldest request that waits", registry=REGISTRY
)
SET_ASIDE = Counter(
    "colobus_rows_set_aside",
    "Times that a loop could not handle a row, and left it for later: a fault of ours",
    ["loop"],
    registry=REGISTRY,
)

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
STEPS = Histogram(
    "colobus_step_seconds",
    "From the start of a step to its end, by how it ended",
    ["kind", "step", "state"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
TO_ACTIVE = Histogram(
    "colobus_to_active_seconds",
    "From the request to active",
    ["kind"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
ENDED = Counter(
    "colobus_resources_ended",
    "Resources that ended",
    ["kind", "phase", "reason"],
    registry=REGISTRY,
)
HOLDINGS = Gauge(
    "colobus_census_holdings",
    "Things of this installation in the backends, by the newest census",
    ["place", "what"],
    registry=REGISTRY,
)
CENSUS_AGE = Gauge(
    "colobus_census_age_seconds",
    "Since the newest complete census of a place was begun",
    ["place"],
    registry=REGISTRY,
)
NODES = Gauge(
    "colobus_nodes",
    "Nodes in service of each metal, flavor and arch (empty: any), by its newest inventory",
    ["metal", "flavor", "arch"],
    registry=REGISTRY,
)
NODES_FREE = Gauge(
    "colobus_nodes_free",
    "Those of them that were free, less those that machines were sent for since",
    ["metal", "flavor", "arch"],
    registry=REGISTRY,
)
CENSUSES_FAILED = Counter(
    "colobus_censuses_failed", "Censuses that could not be taken", ["reason"], registry=REGISTRY
)
ORPHANS = Gauge(
    "colobus_orphans",
    "Things that nobody needs (orphan, surplus), or that nobody knows (unknown), as they are now",
    ["place", "what", "verdict"],
    registry=REGISTRY,
)
ORPHANS_REMOVED = Counter(
    "colobus_orphans_removed",
    "Things that are gone after their removal was ordered",
    ["place", "what", "verdict"],
    registry=REGISTRY,
)
ORPHAN_REMOVALS_FAILED = Counter(
    "colobus_orphan_removals_failed",
    "Ordered removals that failed; what is not retryable the worker refused to touch",
    ["reason", "retryable"],
    registry=REGISTRY,
)

RESTING = Gauge(
    "colobus_cloud_resting",
    "1 while a cloud that kept failing rests, or is tried by one request",
    ["cloud"],
    registry=REGISTRY,
)
RESTS = Counter(
    "colobus_cloud_rests", "Rests that clouds were sent to", ["cloud"], registry=REGISTRY
)

NOTIFICATIONS_TRUSTED = Gauge(
    "colobus_notifications_trusted",
    "1 while a cloud's own notifications are relied on, so that open waits are inspected rarely",
    ["cloud"],
    registry=REGISTRY,
)
WAITS_ENDED = Counter(
    "colobus_waits_ended",
    "Waits for a cloud that ended, by what ended them: notified or inspected",
    ["cloud", "by"],
    registry=REGISTRY,
)


def note_change(before: Resource, after: Resource) -> None:
    """Measure the steps that ended with this change, and the ends of the resource itself."""
    known = {step.name: step.finished_at for step in before.status.steps}
    for step in after.status.steps:
        if step.started_at and step.finished_at and step.finished_at != known.get(step.name):
            seconds = (step.finished_at - step.started_at).total_seconds()
            STEPS.labels(after.kind, step.name, step.state.value).observe(seconds)
    phase = after.status.phase
    if phase is before.status.phase:
        return
    if phase is Phase.ACTIVE:
        seconds = (after.updated_at - after.created_at).total_seconds()
        TO_ACTIVE.labels(after.kind).observe(seconds)
    elif phase in {Phase.FAILED, Phase.DELETED}:
        ENDED.labels(after.kind, phase.value, after.status.reason or "").inc()
