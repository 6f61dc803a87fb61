"""The burst as its requesters live it: they ask, follow, delete, and don't give up over faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from colobus.client import Client
from colobus.models import Phase, Resource, TimelineEvent
from tests.faults.plan import Ending, Plan
from tests.faults.schedule import MADE
from tests.faults.world import World

#: How long a requester goes on trying, and waits for its VM to come to rest, in seconds.
PATIENCE = 300
REST = frozenset({Phase.ACTIVE, Phase.FAILED, Phase.DELETED})


class Progress:
    """How much of the burst is done: each VM counts when accepted, at rest, and gone."""

    def __init__(self, requests: int) -> None:
        self._of = 3 * requests
        self._done = 0
        self._news = asyncio.Condition()

    async def step(self) -> None:
        """One more."""
        async with self._news:
            self._done += 1
            self._news.notify_all()

    async def reached(self, share: float) -> None:
        """Wait until this share is done."""
        async with self._news:
            await self._news.wait_for(lambda: self._done >= share * self._of)


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
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def id_of(self, plan: Plan) -> str:
        """The VM of a request that was accepted."""
        return self.answers[plan.key][0]

    async def make(self) -> list[str]:
        """Ask for everything, wait until all is at rest; return what never came to rest."""
        return await self._all(self._make)

    async def unmake(self) -> list[str]:
        """Delete everything, wait until all is gone; return what never went."""
        return await self._all(self._unmake)

    async def _all(self, do: Callable[[Plan], Coroutine[None, None, None]]) -> list[str]:
        results = await asyncio.gather(*(do(plan) for plan in self.plans), return_exceptions=True)
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
        request = plan.request(self.world.receiver.url())
        made = await asyncio.gather(
            *(
                client.create_vm(request, idempotency_key=plan.key)
                for _ in range(2 if plan.twice else 1)
            )
        )
        self.answers[plan.key] = [vm.id for vm in made]
        await self.progress.step()
        vm = self.id_of(plan)
        self.note(f"{plan.key} is {vm}: its requester {plan.ending.value}")
        if plan.ending is Ending.IN_BUILD:
            await self._seen(vm, lambda it: "server_id" in it.status.outputs or _rests(it))
        if plan.ending in {Ending.AT_ONCE, Ending.IN_BUILD}:
            await client.delete(vm)
            await self._seen(vm, lambda it: it.status.phase is Phase.DELETED)
        await self._seen(vm, _rests)
        self.note(f"{plan.key} is {self.newest[vm].status.phase}")
        await self.progress.step()

    async def _unmake(self, plan: Plan) -> None:
        vm = self.id_of(plan)
        await self.clients[plan.tenant].delete(vm)
        await self._seen(vm, lambda it: it.status.phase is Phase.DELETED)
        await self.progress.step()

    async def _seen(self, vm: str, done: Callable[[Resource], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
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
        }
        burst = Burst(world, plans, clients, Progress(len(plans)), positions, note)
        following = [asyncio.create_task(burst.follow(tenant)) for tenant in clients]
        try:
            yield burst
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


assert MADE == 2 / 3, "`Progress` counts three steps, of which two are making"
