"""The judgement: do clouds, metals, stores, ledger, read model and webhooks agree? Pure.

Each rule returns a line for each thing that is wrong: a request lost or doubled, an object leaked,
a resource stuck, a webhook that never came.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from colobus.models import Phase
from tests.faults import default_networks
from tests.faults.facts import Evidence, Held, Reservation, Row, Told
from tests.faults.plan import Ending, Plan


@dataclass(frozen=True)
class Excuse:
    """Why something may fail when its backend itself was killed or paused while making it.

    ``words``: where the backend must have said that it failed; ``silence``: where it is enough that
    nothing of it was ever launched.
    """

    kind: str
    words: frozenset[str]
    silence: frozenset[str] = frozenset()


EXCUSES = {
    # A host that is back puts what it was building into ERROR without a word (`_init_instance`),
    # and of a deleted server Nova doesn't remember even that.
    "nova": Excuse(
        "vm",
        frozenset({"no_valid_host"}),
        frozenset({"build_failed", "server_error", "deadline_exceeded"}),
    ),
    # Its conductor gives up what it was at, and a machine is made once (decision 0038).
    "ironic": Excuse("machine", frozenset({"deploy_failed"})),
    # It leaves in progress what it was at, for ever; so does Magnum, of what it had only accepted.
    "heat": Excuse(
        "stack",
        frozenset({"stack_failed"}),
        frozenset({"backend_timeout", "deadline_exceeded"}),
    ),
    "magnum": Excuse("cluster", frozenset({"cluster_failed"}), frozenset({"deadline_exceeded"})),
}
#: What an active machine has, one of each; a VM has floating IPs besides, where it asked for one.
WHOLE = {
    "vm": ("server", "port"),
    "machine": (
        *("node", "allocation", "volume_connector", "volume_target"),
        *("root_image", "config_image", "iscsi_target", "account", "system", "port"),
    ),
    "stack": ("stack", "stack_network", "stack_port"),
    "cluster": ("cluster", "credential", "folder", "control_plane"),
}
#: What lies on its tenant's default network, unless it names another.
NETWORKED = frozenset({"vm", "machine"})
#: How it is when it is whole.
STATES = {
    "server": "ACTIVE",
    "port": "ACTIVE",
    "node": "active, power on",
    "allocation": "active",
    "iscsi_target": "2 disks to 1",
    "stack": "CREATE_COMPLETE",
    "cluster": "CREATE_COMPLETE",
    "folder": "running",
}
#: What each serves. A machine's port is bound by no host here, so that it isn't ACTIVE.
SERVES = {
    "port": "server",
    "floating_ip": "port",
    "allocation": "node",
    "volume_connector": "node",
    "volume_target": "node",
    "account": "iscsi_target",
    "system": "node",
    "stack_port": "stack_network",
    "credential": "cluster",
    "folder": "cluster",
    "control_plane": "cluster",
}


def judge(evidence: Evidence) -> list[str]:
    """Return all that is wrong; nothing is the only good answer."""
    return [line for rule in RULES for line in rule(evidence)]


def stuck(evidence: Evidence) -> Iterator[str]:
    """Everything came to rest, and no service gave up."""
    yield from (f"stuck: {line}" for line in evidence.unsettled)
    yield from (f"a service gave up: {line}" for line in evidence.ended)


def accepted_once(evidence: Evidence) -> Iterator[str]:
    """Each request has one id, which is known everywhere, and there is nothing else."""
    for plan in evidence.plans:
        ids = set(evidence.answers.get(plan.key, ()))
        if len(ids) != 1:
            yield f"{plan.key} was answered with {len(ids)} ids: {sorted(ids)}"
    accepted = set(evidence.accepted)
    for name, rows in (("ledger", evidence.ledger), ("read model", evidence.read_model)):
        counted = Counter(row.id for row in rows)
        yield from (f"lost: {id} is not in the {name}" for id in sorted(accepted - set(counted)))
        yield from (f"doubled: nobody knows {id} of the {name}" for id in set(counted) - accepted)


def read_model_agrees(evidence: Evidence) -> Iterator[str]:
    """The front door shows what the ledger says."""
    shown = {row.id: row for row in evidence.read_model}
    for row in evidence.ledger:
        if row.id in shown and shown[row.id] != row:
            yield f"the front door shows {shown[row.id]} of {row}"


def rests_rightly(evidence: Evidence) -> Iterator[str]:
    """Each is where its requester wanted it, or failed for a legitimate reason."""
    for row in evidence.ledger:
        plan = evidence.accepted.get(row.id)
        if plan is None or _rests_rightly(evidence, plan, row):
            continue
        yield f"{row.id} ({plan.key}, {plan.ending.value}) is {row.phase} for {row.reason}"


def _rests_rightly(evidence: Evidence, plan: Plan, row: Row) -> bool:
    if evidence.unmade:
        return row.phase is Phase.DELETED
    if row.phase is Phase.FAILED:
        if plan.ending is Ending.HURRY and row.reason == "deadline_exceeded":
            return True
        return any(_lost_by(EXCUSES[who], evidence, row) for who in evidence.losers)
    return row.phase in plan.settles_in


def _lost_by(excuse: Excuse, evidence: Evidence, row: Row) -> bool:
    """Tell whether what the backend itself remembers bears out why the resource has failed.

    What never came to it, or was launched and failed nevertheless, was lost by us.
    """
    of_it = [one for one in evidence.instances if one.resource_id == row.id]
    in_error = any(one.fault is not None for one in of_it)
    if _kind(row.id) != excuse.kind:
        return False
    if row.reason in excuse.words:
        return in_error
    if row.reason in excuse.silence:
        return in_error or (bool(of_it) and not any(one.launched for one in of_it))
    return False


def cloud_agrees(evidence: Evidence) -> Iterator[str]:
    """Exactly one of each that makes up what is active (floating IPs where asked); else none."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for one in evidence.held:
        held[one.resource_id][one.what] += 1
    active = {row.id for row in evidence.ledger if row.phase is Phase.ACTIVE}
    for id in sorted(active | set(held)):
        wanted = _wanted(id, evidence.accepted.get(id)) if id in active else Counter[str]()
        for what in sorted({*wanted, *held[id]}):
            found, right = held[id][what], wanted[what]
            if found != right:
                yield f"{_wrong(found, right)}: {id} has {found} {what}s, not {right}"


def _wanted(id: str, plan: Plan | None) -> Counter[str]:
    wanted = Counter(WHOLE[_kind(id)])
    if plan is not None and plan.floating_ip:
        wanted["floating_ip"] = 1
    return wanted


def _kind(id: str) -> str:
    return id.partition("-")[0]


def what_is_active_is_whole(evidence: Evidence) -> Iterator[str]:
    """All of it is in the state that it should be in, and on what it should be on."""
    active = {row.id for row in evidence.ledger if row.phase is Phase.ACTIVE}
    ids = {(one.resource_id, one.what): one.id for one in evidence.held}
    for one in evidence.held:
        if one.resource_id not in active or _is_unbound(one):
            continue
        if one.status != STATES.get(one.what, one.status):
            yield f"{one.resource_id} is active, but its {one.what} is {one.status}"
        below = SERVES.get(one.what)
        if below is not None and one.on != ids.get((one.resource_id, below)):
            yield f"the {one.what} of {one.resource_id} is not on its {below}"


def _is_unbound(one: Held) -> bool:
    return one.what == "port" and _kind(one.resource_id) == "machine"


def default_networks_agree(evidence: Evidence) -> Iterator[str]:
    """One for each tenant, however many replicas came at once; none where none was ever needed."""
    active = {row for row in evidence.ledger if row.phase is Phase.ACTIVE}
    needed = {row.tenant for row in active if _kind(row.id) in NETWORKED}
    return default_networks.wrong(evidence.commons, served=evidence.networked, needed=needed)


def no_node_was_handed_out_twice(evidence: Evidence) -> Iterator[str]:
    """No two machines ever had one node at the same time."""
    by_node: dict[str, list[Reservation]] = defaultdict(list)
    for one in evidence.reservations:
        by_node[one.node].append(one)
    for node, taken in by_node.items():
        taken.sort(key=lambda one: one.since)
        for earlier, later in itertools.pairwise(taken):
            if earlier.until is None or later.since < earlier.until:
                yield (
                    f"doubled: node {node} was {earlier.resource_id}'s until {earlier.until}, and "
                    f"{later.resource_id}'s from {later.since}"
                )


def _wrong(found: int, right: int) -> str:
    return "lost" if found < right else "doubled" if right else "leaked"


def usage_agrees(evidence: Evidence) -> Iterator[str]:
    """What counts against the quotas is what is held."""
    held: Counter[tuple[str, str]] = Counter()
    for row in evidence.ledger:
        if row.phase in {Phase.PROVISIONING, Phase.ACTIVE, Phase.DEPROVISIONING}:
            for name, amount in evidence.demands.get(row.id, {}).items():
                held[row.tenant, name] += amount
    for key in sorted({*held, *evidence.usage}):
        if held[key] != evidence.usage.get(key, 0):
            yield f"{key} counts {evidence.usage.get(key, 0)}, but {held[key]} are held"


def nothing_left_over(evidence: Evidence) -> Iterator[str]:
    """No timer, outbox row, unconfirmed request, message or delivery waits for anything."""
    yield from (f"left over: {count} {what}" for what, count in evidence.left_over.items() if count)


def timeline_is_whole(evidence: Evidence) -> Iterator[str]:
    """Every revision of every resource is in the timeline, and was seen on the stream, once."""
    written = Counter((told.resource_id, told.sequence) for told in evidence.timeline)
    for row in evidence.ledger:
        missing = [n for n in range(row.revision + 1) if not written[row.id, n]]
        # A resource's first revision is 1 (its making changes the public resource once).
        missing = [n for n in missing if n > 0]
        if missing:
            yield f"the timeline of {row.id} lacks {missing} of {row.revision}"
    yield from _compare("the stream", evidence.timeline, evidence.streamed, doubles=True)


def webhooks_came(evidence: Evidence) -> Iterator[str]:
    """Every change of phase was sent to its callback_url, at least once, and nothing else."""
    wanted = list(_changes_of_phase(evidence.timeline))
    yield from _compare("the webhook log", wanted, evidence.webhooks, doubles=False)
    for id in sorted({told.resource_id for told in wanted}):
        last = max((t for t in wanted if t.resource_id == id), key=lambda told: told.sequence)
        came = [told for told in evidence.webhooks if told.resource_id == id]
        newest = max(came, key=lambda told: told.sequence, default=None)
        if newest is not None and newest.phase is not last.phase:
            yield f"by its webhooks {id} is {newest.phase}, not {last.phase}"


def _changes_of_phase(timeline: Iterable[Told]) -> Iterator[Told]:
    phases: dict[str, Phase] = {}
    for told in sorted(timeline, key=lambda told: (told.resource_id, told.sequence)):
        if phases.get(told.resource_id) is not told.phase:
            yield told
        phases[told.resource_id] = told.phase


def _compare(
    where: str, wanted: Iterable[Told], found: Iterable[Told], *, doubles: bool
) -> Iterator[str]:
    counted = Counter(found)
    for told in sorted(set(wanted) - set(counted), key=str):
        yield f"lost: {told} did not come by {where}"
    for told in sorted(set(counted) - set(wanted), key=str):
        yield f"{where} tells {told}, which never was"
    if doubles:
        yield from (f"{where} tells {told} {n} times" for told, n in counted.items() if n > 1)


Rule = Callable[[Evidence], Iterator[str]]
RULES: tuple[Rule, ...] = (
    stuck,
    accepted_once,
    read_model_agrees,
    rests_rightly,
    cloud_agrees,
    what_is_active_is_whole,
    default_networks_agree,
    no_node_was_handed_out_twice,
    usage_agrees,
    nothing_left_over,
    timeline_is_whole,
    webhooks_came,
)
