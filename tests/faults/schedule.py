"""What goes wrong when: pure, and from the seed alone, so that a seed can be played again."""

from __future__ import annotations

import enum
import itertools
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.support.installation import SERVICES


class Kind(enum.StrEnum):
    """How something goes wrong."""

    KILL = "kill -9"
    PAUSE = "pause"
    CUT = "cut"
    REFUSE = "refuse"
    SILENCE = "silence"


#: Parts of the cloud, as devcloud calls them, that may go.
NOVA = ("nova-api", "nova-compute1", "nova-compute2")
COMPONENTS = ("rabbitmq", "postgresql", *NOVA)
#: Connections that lead through a proxy: who is at this end, and what at the other.
CABLES = (
    *(f"{service}-broker" for service in SERVICES),
    *(f"{service}-database" for service in SERVICES if service != "vm_worker"),
    *(f"vm_worker-{api}" for api in ("keystone", "nova", "neutron")),
)
#: What machines need besides: who makes them, what these ask, and the ways there.
METAL_SERVICES = (*SERVICES, "iscsi_worker", "baremetal_worker")
IRONIC, TGTD = "ironic", "tgtd"
METAL_COMPONENTS = ("rabbitmq", "postgresql", IRONIC, TGTD)
METAL_CABLES = ("iscsi_worker-broker", "baremetal_worker-broker", "baremetal_worker-ironic")
#: What stacks and clusters need besides.
STACK_SERVICES = (*SERVICES, "stack_worker", "k8s_worker")
HEAT_ENGINE, MAGNUM_CONDUCTOR = "heat-engine", "magnum-conductor"
ORCHESTRATORS = (HEAT_ENGINE, "heat-api", MAGNUM_CONDUCTOR, "magnum-api")
STACK_CABLES = (
    *("stack_worker-broker", "stack_worker-heat"),
    *("k8s_worker-broker", "k8s_worker-magnum"),
)
#: Two replicas of each service.
PAIRS = (*SERVICES, *(f"{service}.2" for service in SERVICES))
#: All that is a component of devcloud's.
ALL_COMPONENTS = frozenset({*COMPONENTS, *METAL_COMPONENTS, *ORCHESTRATORS})
#: So many seeds share a hand of faults, in which nothing is missing.
ROW = 10
_Draws = Mapping[Kind, tuple[int, Sequence[str], tuple[float, float]]]


@dataclass(frozen=True)
class Deck:
    """How often each kind of fault strikes in a row of seeds, what, and for how long.

    ``draws``: {kind: (how often in ``row`` seeds, whom, seconds from and to)}; ``name`` tells its
    seeds from those of others.
    """

    draws: _Draws
    row: int
    name: str = ""


VMS = Deck(
    {
        Kind.KILL: (27, (*SERVICES, *COMPONENTS), (0.2, 4)),
        Kind.PAUSE: (18, (*SERVICES, *COMPONENTS), (1, 8)),
        Kind.CUT: (13, CABLES, (0, 0)),
        Kind.REFUSE: (10, CABLES, (1, 6)),
        Kind.SILENCE: (12, CABLES, (2, 8)),
    },
    ROW,
)
#: Three seeds, eight faults each: all of them are killed, and whom machines need is paused too.
MACHINES = Deck(
    {
        Kind.KILL: (10, (*METAL_SERVICES, *METAL_COMPONENTS), (0.2, 4)),
        Kind.PAUSE: (5, ("scheduler", "iscsi_worker", "baremetal_worker", IRONIC, TGTD), (1, 8)),
        Kind.CUT: (3, METAL_CABLES, (0, 0)),
        Kind.REFUSE: (3, METAL_CABLES, (1, 6)),
        Kind.SILENCE: (3, METAL_CABLES, (2, 8)),
    },
    row=3,
    name="bare metal ",
)
#: Two seeds, fourteen faults each; nobody who makes VMs is struck.
STACKS = Deck(
    {
        Kind.KILL: (
            11,
            (
                *("scheduler", "stack_worker", "k8s_worker", "front_door", "webhook_worker"),
                *("rabbitmq", "postgresql", *ORCHESTRATORS),
            ),
            (0.2, 4),
        ),
        Kind.PAUSE: (
            5,
            ("scheduler", "stack_worker", "k8s_worker", HEAT_ENGINE, MAGNUM_CONDUCTOR),
            (1, 8),
        ),
        Kind.CUT: (4, STACK_CABLES, (0, 0)),
        Kind.REFUSE: (4, STACK_CABLES, (1, 6)),
        Kind.SILENCE: (4, STACK_CABLES, (2, 8)),
    },
    row=2,
    name="stacks ",
)
#: Each seed kills each replica once; the `Saboteur` has no two of one service down at once.
REPLICAS = Deck({Kind.KILL: (len(PAIRS), PAIRS, (0.2, 5))}, row=1, name="replicas ")
#: By what ``make faults OF=…`` calls them.
DECKS = {"seeds": VMS, "machines": MACHINES, "stacks": STACKS, "replicas": REPLICAS}
#: Who loses what it is making, to which faults of which of its parts.
_LOSERS: dict[str, tuple[tuple[str, ...], frozenset[Kind]]] = {
    "nova": (NOVA, frozenset({Kind.KILL, Kind.PAUSE})),
    # A conductor that dies doesn't go on.
    "ironic": ((IRONIC,), frozenset({Kind.KILL})),
    # Nobody takes up what an engine was at, nor an order that a conductor had just taken.
    "heat": ((HEAT_ENGINE,), frozenset({Kind.KILL})),
    "magnum": ((MAGNUM_CONDUCTOR,), frozenset({Kind.KILL})),
}
#: Between making and unmaking everything is counted; progress then stands at this share.
MADE = 2 / 3


@dataclass(frozen=True, order=True)
class Fault:
    """``at``: the share of the burst that is done when it begins; ``seconds``: how long it lasts.

    ``loses``: what a silent connection held never arrives.
    """

    at: float
    kind: Kind
    target: str
    seconds: float
    loses: bool = False

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        lost = ", and what it held is lost" if self.loses else ""
        return f"at {self.at:4.0%} of the burst: {self.kind} {self.target}{lasting}{lost}"


def schedule(seed: int, deck: Deck = VMS) -> tuple[Fault, ...]:
    """Return what goes wrong under ``seed``, in order of time: eight faults, of stacks fourteen.

    The seeds of a row (1 to 10, 11 to 20, …) share a hand in which every kind of fault strikes
    everything that it may hit; dealt out in turns, each of them has about as much of each kind.
    """
    row, number = divmod(seed - 1, deck.row)
    draw = random.Random(f"{deck.name}faults {seed}")
    dealt = _hand(deck, row)[number :: deck.row]
    return tuple(sorted(_fault(draw, deck, kind, target) for kind, target in dealt))


def _hand(deck: Deck, row: int) -> list[tuple[Kind, str]]:
    draw = random.Random(f"{deck.name}row {row}")
    hand = []
    for kind, (count, targets, _) in deck.draws.items():
        rounds = [draw.sample(targets, len(targets)) for _ in range(-(-count // len(targets)))]
        hand += [(kind, target) for target in itertools.chain(*rounds)][:count]
    return hand


def _fault(draw: random.Random, deck: Deck, kind: Kind, target: str) -> Fault:
    shortest, longest = deck.draws[kind][2]
    return Fault(
        at=round(draw.uniform(0.02, 0.95), 2),
        kind=kind,
        target=target,
        seconds=round(draw.uniform(shortest, longest), 1),
        loses=kind is Kind.SILENCE and draw.random() < 0.5,
    )


def losers(faults: Sequence[Fault]) -> frozenset[str]:
    """Return which backends may themselves lose what they make: then it may fail, and rightly.

    What strikes only when all is made can't have lost any of it: `Saboteur` waits for its share.
    """
    return frozenset(
        who
        for who, (parts, kinds) in _LOSERS.items()
        if any(f.target in parts and f.kind in kinds and f.at <= MADE for f in faults)
    )


if __name__ == "__main__":
    _seed, *_of = sys.argv[1:]
    _deck = DECKS[_of[0] if _of else "seeds"]
    sys.stdout.writelines(f"{fault}\n" for fault in schedule(int(_seed), _deck))
