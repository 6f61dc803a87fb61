"""What the requests of a burst are: pure, and from the seed alone."""

from __future__ import annotations

import enum
import os
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from colobus.client import CreateBody
from colobus.models import CreateCluster, CreateMachine, CreateStack, CreateVm, Phase

#: What the tenants of the harness may hold: fewer floating IPs than they ask for, so some wait.
QUOTAS = {"bigtop": {"vms": 12, "floating_ips": 4}, "openlab": {"vms": 8, "floating_ips": 3}}
#: How many requests each tenant makes, unless the environment says otherwise (``BURST``).
VM_SHARE, MACHINE_SHARE = (12, 8), (7, 5)
BURST = "COLOBUS_FAULT_BURST"
#: What a VM has to be ready in when Nova itself may lose its build, in seconds: nothing but a
#: deadline ends the wait for a server that stays in BUILD for ever. What is ours must fit in, or it
#: would be taken for Nova's: a lost answer costs three minutes, and may be that of the VM whose
#: floating IP this one waits for, and then its own.
PATIENCE_WITH_NOVA = 400


#: The same of stacks and clusters: what is kept leaves room for one other, for which some wait.
STACK_QUOTAS = {
    "bigtop": {"stacks": 3, "clusters": 2},
    "openlab": {"stacks": 2, "clusters": 1},
}
#: What Heat is given for a stack where it may lose it, in seconds: it begins with Heat's own word,
#: so that no lost answer of ours counts. What Magnum only accepted, nothing but a deadline ends.
HEATS_TIME = 60
#: Each tenant's endings of stacks, and of clusters.
_ORCHESTRATED = {
    "bigtop": {"stack": ("KEEP", "KEEP", "AT_ONCE", "IN_BUILD"), "cluster": ("KEEP", "IN_BUILD")},
    "openlab": {"stack": ("KEEP", "HURRY"), "cluster": ("KEEP",)},
}
#: Whose requests go the whole way and hold nothing (`probes`): of a quota of none the scheduler
#: itself ends each, whatever goes on in any cloud. Bursts, evidence and census leave it out.
PROBER = "prober"
PROBER_QUOTA = {"vms": 0}


class Ending(enum.StrEnum):
    """What its requester does with a VM."""

    KEEP = "keeps it"
    AT_ONCE = "deletes it at once"
    IN_BUILD = "deletes it in mid-build"
    HURRY = "gives it a deadline that it can't keep"


@dataclass(frozen=True)
class Wares:
    """What there is to be asked for; of ``slow`` something is seen being made."""

    image: str = "debian-12"
    flavor: str = "small"
    slow: str = "slow"


@dataclass(frozen=True)
class Plan:
    """One request. ``key`` is its idempotency key; ``twice``: it is sent two times at once.

    ``by_bus``: published under the tenant's own broker user, instead of a POST. ``timeout``: what
    Heat is given for a stack, in seconds.
    """

    key: str
    tenant: str
    ending: Ending
    floating_ip: bool
    twice: bool
    deadline: int | None = None
    timeout: int | None = None
    by_bus: bool = False
    kind: str = "vm"

    def request(self, callback_url: str, wares: Wares) -> CreateBody:
        """Return the body of the request."""
        body, _, _ = _BODIES[self.kind]
        return body(**self._spec(wares), deadline=self._deadline, callback_url=callback_url)

    def event(self, callback_url: str, wares: Wares) -> dict[str, Any]:
        """Return the same as the data of an event on the bus."""
        common = {"callback_url": callback_url, "deadline": self._deadline}
        return {"verb": "create", "kind": self.kind, "spec": self._spec(wares), **common}

    def _spec(self, wares: Wares) -> dict[str, Any]:
        return _BODIES[self.kind][1](self, wares)

    @property
    def _deadline(self) -> int | None:
        return _BODIES[self.kind][2] if self.ending is Ending.HURRY else self.deadline

    @property
    def slow(self) -> bool:
        """Tell whether something is to be seen of its making."""
        return self.ending in {Ending.IN_BUILD, Ending.HURRY}

    @property
    def settles_in(self) -> frozenset[Phase]:
        """The phases in which the VM may come to rest, if nothing but time fails it."""
        return frozenset(_RESTS[self.ending])


def _of_image(plan: Plan, wares: Wares) -> dict[str, Any]:
    flavor = wares.slow if plan.slow else wares.flavor
    return {"image": wares.image, "flavor": flavor, "floating_ip": plan.floating_ip}


def _stack(plan: Plan, wares: Wares) -> dict[str, Any]:
    """A port; where something is to be seen of its making, a server instead, which is slow."""
    network = {"get_resource": "network"}
    parts: dict[str, Any] = {
        "word": {"type": "OS::Heat::RandomString"},
        "network": {"type": "OS::Neutron::Net"},
    }
    if plan.slow:
        subnet = {"network": network, "cidr": "10.9.0.0/24"}
        server = {"image": wares.image, "flavor": wares.slow, "networks": [{"network": network}]}
        parts["subnet"] = {"type": "OS::Neutron::Subnet", "properties": subnet}
        parts["server"] = {
            "type": "OS::Nova::Server",
            "depends_on": "subnet",
            "properties": server,
        }
    else:
        parts["port"] = {"type": "OS::Neutron::Port", "properties": {"network": network}}
    timeout = {} if plan.timeout is None else {"timeout": plan.timeout}
    return {"template": {"heat_template_version": "2018-08-31", "resources": parts}, **timeout}


def _cluster(plan: Plan, wares: Wares) -> dict[str, Any]:
    """The smallest there is; it takes its time."""
    del plan, wares
    return {"node_count": 1, "version": "1.20"}


#: What is sent, what it says, and the deadline that can't be kept, in seconds: machines are never
#: slow.
_BODIES: dict[str, tuple[type[CreateBody], Callable[[Plan, Wares], dict[str, Any]], int]] = {
    "vm": (CreateVm, _of_image, 10),
    "machine": (CreateMachine, _of_image, 1),
    "stack": (CreateStack, _stack, 10),
    "cluster": (CreateCluster, _cluster, 1),
}
_RESTS = {
    Ending.KEEP: {Phase.ACTIVE},
    Ending.AT_ONCE: {Phase.DELETED},
    Ending.IN_BUILD: {Phase.DELETED},
    Ending.HURRY: {Phase.FAILED},
}


def plans(seed: int, *, nova_may_lose: bool = False, share: Sequence[int] = VM_SHARE) -> list[Plan]:
    """Return the burst of ``seed``; ``share``: how many requests each tenant makes."""
    draw = random.Random(f"plans {seed}")
    made = []
    for (tenant, quota), count in zip(QUOTAS.items(), share, strict=True):
        short = [ending for ending in Ending if ending is not Ending.KEEP]
        kept = count - len(short)
        # What is kept leaves one floating IP, which all others take in turns.
        requests: list[tuple[Ending, bool]] = [(ending, True) for ending in short]
        requests += [(Ending.KEEP, number < quota["floating_ips"] - 1) for number in range(kept)]
        draw.shuffle(requests)
        made += [
            Plan(
                key=f"seed-{seed}-{tenant}-{number}",
                tenant=tenant,
                ending=ending,
                floating_ip=floating_ip,
                twice=draw.random() < 0.3,
                deadline=PATIENCE_WITH_NOVA if nova_may_lose else None,
                by_bus=draw.random() < 0.3,
            )
            for number, (ending, floating_ip) in enumerate(requests)
        ]
    draw.shuffle(made)
    return made


def share_of(usual: Sequence[int]) -> tuple[int, ...]:
    """Return how many requests each tenant makes: as usual, or as ``BURST`` says (``12,8``)."""
    said = os.environ.get(BURST)
    return tuple(int(count) for count in said.split(",")) if said else tuple(usual)


def machine_quotas(share: Sequence[int] = MACHINE_SHARE) -> dict[str, dict[str, int]]:
    """Return what the tenants may hold of machines: all that they ask for."""
    return {
        tenant: {"machines": count, "volume_gib": 100}
        for tenant, count in zip(QUOTAS, share, strict=True)
    }


def nodes_for(share: Sequence[int] = MACHINE_SHARE) -> int:
    """Return how many nodes there are: fewer than machines are asked for, so some wait for one.

    Of each tenant three don't stay: what stays has room together.
    """
    return sum(share) - 3


def machine_plans(seed: int, *, share: Sequence[int] = MACHINE_SHARE) -> list[Plan]:
    """Return the burst of machines of ``seed``: all endings, and half of them are kept."""
    draw = random.Random(f"machine plans {seed}")
    made = []
    for tenant, count in zip(QUOTAS, share, strict=True):
        short = [ending for ending in Ending if ending is not Ending.KEEP]
        endings = [*short, *[Ending.KEEP] * (count - len(short))]
        made += [
            Plan(
                key=f"machines-{seed}-{tenant}-{number}",
                tenant=tenant,
                ending=ending,
                floating_ip=False,
                twice=draw.random() < 0.3,
                by_bus=draw.random() < 0.3,
                kind="machine",
            )
            for number, ending in enumerate(endings)
        ]
    draw.shuffle(made)
    return made


def stack_plans(seed: int, losers: Collection[str]) -> list[Plan]:
    """Return the burst of ``seed``: six stacks with all endings, and three clusters.

    ``losers``: who may lose what it makes, heat or magnum.
    """
    draw = random.Random(f"stack plans {seed}")
    made = [
        Plan(
            key=f"stacks-{seed}-{tenant}-{kind}-{number}",
            tenant=tenant,
            ending=Ending[ending],
            floating_ip=False,
            twice=draw.random() < 0.3,
            deadline=PATIENCE_WITH_NOVA if losers else None,
            timeout=HEATS_TIME if kind == "stack" and "heat" in losers else None,
            by_bus=draw.random() < 0.4,
            kind=kind,
        )
        for tenant, kinds in _ORCHESTRATED.items()
        for kind, endings in kinds.items()
        for number, ending in enumerate(endings)
    ]
    draw.shuffle(made)
    return made
