"""The burst as its requesters live it: they ask, follow, delete, and don't give up over faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from colobus.client import Client
from colobus.models import Phase, Resource, TimelineEvent
from tests.faults.plan import PATIENCE_WITH_NOVA, PROBER, Ending, Plan
from tests.faults.schedule import MADE
from tests.faults.world import World
from tests.support.ci import CiSystem, accepted, until_done

#: How long all requesters go on trying, and wait for their VMs to come to rest, in seconds: once
#: for all that is made, and once for its deletion. Behind the deadline of a VM there is time enough
#: to undo it, a lost answer (three minutes) included.
PATIENCE = PATIENCE_WITH_NOVA + 200
REST = frozenset({Phase.ACTIVE, Phase.FAILED, Phase.DELETED})


class Progress:
    """How much of the burst is done: each VM goes through six stages, four of them in making.

    Accepted, its port made, its server asked for, at rest; then its deletion begun, and gone. Of a
    machine the second is that it has a node, and the third that its boot is ordered; of a stack or
    cluster, that its making is ordered, and that Heat or Magnum has accepted it.
    """

    STAGES = 6

    def __init__(self, requests: int) -> None:
        self._of = self.STAGES * requests
        self._stages: dict[str, int] = {}
        self._news = asyncio.Condition()

    async def reach(self, vm: str, stage: int) -> None:
        """Note that this VM has come so far."""
        async with self._news:
            self._stages[vm] = max(stage, self._stages.get(vm, 0))
            self._news.notify_all()

    async def reached(self, share: float) -> None:
        """Wait until this share is done."""
        async with self._news:
            await self._news.wait_for(lambda: sum(self._stages.values()) >= share * self._of)


def stage_of(resource: Resource, *, unmaking: bool) -> int:
    """Return how far a VM has come."""
    if unmaking and resource.status.phase is Phase.DEPROVISIONING:
        return 5
    if unmaking and resource.status.phase is Phase.DELETED:
        return 6
    if _rests(resource):
        return 4
    return 3 if _is_building(resource) else 2 if _PREPARED[resource.kind](resource) else 1


def _is_building(resource: Resource) -> bool:
    if resource.kind in _ASKED_FOR:
        return _ASKED_FOR[resource.kind] in resource.status.outputs
    return any(s.name == "boot" and s.state != "pending" for s in resource.status.steps)


def _has_begun(resource: Resource) -> bool:
    return any(step.state != "pending" for step in resource.status.steps)


#: What is told as soon as the backend has accepted it.
_ASKED_FOR = {"vm": "server_id", "stack": "stack_id", "cluster": "cluster_id"}
_PREPARED: dict[str, Callable[[Resource], bool]] = {
    "vm": lambda it: "mac_address" in it.status.outputs,
    "machine": lambda it: "node" in it.status.outputs,
    "stack": _has_begun,
    "cluster": _has_begun,
}


@dataclass
class Burst:
    """``answers``: {idempotency key: the ids that were answered}; ``told``: what streams said.

    ``positions``: {tenant: where its stream begins}.
    """

    world: World
    plans: list[Plan]
    clients: dict[str, Client]
    progress: Progress
    positions: dict[str, int]
    note: Callable[[str], None]
    answers: dict[str, list[str]] = field(default_factory=dict)
    told: dict[str, list[TimelineEvent]] = field(default_factory=dict)
    newest: dict[str, Resource] = field(default_factory=dict)
    _unmaking: bool = False
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def id_of(self, plan: Plan) -> str:
        """The VM of a request that was accepted."""
        return self.answers[plan.key][0]

    async def make(self) -> list[str]:
        """Ask for everything, wait until all is at rest; return what never came to rest."""
        return await self._all(self._make)

    async def unmake(self) -> list[str]:
        """Delete everything, wait until all is gone; return what never went."""
        self._unmaking = True
        return await self._all(self._unmake)

    async def _all(self, do: Callable[[Plan], Coroutine[None, None, None]]) -> list[str]:
        async def in_time(plan: Plan) -> None:
            async with asyncio.timeout(PATIENCE):
                await do(plan)

        doing = (in_time(plan) for plan in self.plans)
        results = await asyncio.gather(*doing, return_exceptions=True)
        lost = []
        for plan, result in zip(self.plans, results, strict=True):
            if isinstance(result, Exception):
                known = self.newest.get((self.answers.get(plan.key) or [""])[0])
                seen = known.status if known else "nothing was ever heard of it"
                lost.append(f"{plan}: {type(result).__name__} {result}; {seen}")
            elif isinstance(result, BaseException):
                raise result
        return lost

    async def _make(self, plan: Plan) -> None:
        client = self.clients[plan.tenant]
        ask = self._by_bus if plan.by_bus else self._by_http
        times = 2 if plan.twice else 1
        self.answers[plan.key] = await asyncio.gather(*(ask(plan) for _ in range(times)))
        vm = self.id_of(plan)
        self.note(f"{plan.key} is {vm}: its requester {plan.ending.value}")
        if plan.by_bus:  # the scheduler has accepted it; the front door hears of it a little later
            await self._seen(vm, lambda it: bool(it.id))
        if plan.ending is Ending.IN_BUILD:
            await self._seen(vm, lambda it: _is_building(it) or _rests(it))
        if plan.ending in {Ending.AT_ONCE, Ending.IN_BUILD}:
            await client.delete(vm)
            await self._seen(vm, lambda it: it.status.phase is Phase.DELETED)
        await self._seen(vm, _rests)
        self.note(f"{plan.key} is {self.newest[vm].status.phase}")

    async def _by_http(self, plan: Plan) -> str:
        request = plan.request(self.world.receiver.url(), self.world.wares)
        client = self.clients[plan.tenant]
        return (await client.create(request, idempotency_key=plan.key)).id

    async def _by_bus(self, plan: Plan) -> str:
        """Publish the same event until it is answered, which is all that a CI system has to do."""
        event = plan.event(self.world.receiver.url(), self.world.wares)

        async def ask(ci: CiSystem) -> str:
            answer = await ci.ask(event, id=plan.key, source="/ci/faults")
            return str(accepted(answer)["id"])

        # How long this may go on is said for all of the VM's making.
        return await until_done(plan.tenant, [self.world.colobus.amqp_url(plan.tenant)], ask)

    async def _unmake(self, plan: Plan) -> None:
        vm = self.id_of(plan)
        await self.clients[plan.tenant].delete(vm)
        await self._seen(vm, lambda it: it.status.phase is Phase.DELETED)
        await self.progress.reach(vm, Progress.STAGES)

    async def _seen(self, vm: str, done: Callable[[Resource], bool]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: vm in self.newest and done(self.newest[vm]))

    async def follow(self, tenant: str) -> None:
        """Follow the tenant's stream, for ever, through whatever happens to it."""
        told = self.told.setdefault(tenant, [])
        after = str(self.positions.get(tenant, 0))
        async with contextlib.aclosing(self.clients[tenant].events(after=after)) as events:
            async for event in events:
                if event.resource is None:
                    continue
                told.append(event)
                stage = stage_of(event.resource, unmaking=self._unmaking)
                await self.progress.reach(event.resource_id, stage)
                async with self._news:
                    known = self.newest.get(event.resource_id)
                    if known is None or known.revision < event.resource.revision:
                        self.newest[event.resource_id] = event.resource
                    self._news.notify_all()


def _rests(resource: Resource) -> bool:
    return resource.status.phase in REST


@asynccontextmanager
async def a_burst(
    world: World, plans: list[Plan], positions: dict[str, int], note: Callable[[str], None]
) -> AsyncIterator[Burst]:
    """Prepare the requesters: one client and one stream for each tenant."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            tenant: await stack.enter_async_context(
                Client(world.url, token=token, retry_for=PATIENCE, timeout=10)
            )
            for tenant, token in world.colobus.tokens.items()
            if tenant != PROBER
        }
        burst = Burst(world, plans, clients, Progress(len(plans)), positions, note)
        following = [asyncio.create_task(burst.follow(tenant)) for tenant in clients]
        try:
            yield burst
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


assert Progress.STAGES * MADE == 4, "the stages of making"
