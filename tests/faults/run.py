"""One seed from its first request to its last: the burst and what goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from shared.runtime.deadline import Deadline
from tests.faults import evidence, nova
from tests.faults.burst import PATIENCE, Burst, Progress, a_burst
from tests.faults.census import judge
from tests.faults.evidence import OUT, Before
from tests.faults.facts import Evidence
from tests.faults.faults import fault
from tests.faults.plan import Plan
from tests.faults.queues import RENEWED
from tests.faults.schedule import MADE, Fault
from tests.faults.world import World
from tests.support.conditions import eventually
from tests.support.installation import service_of

#: How long everything that is at rest may take to be all written down and delivered, in seconds.
#: Longer than two censuses of a minute and what they take: what a lost order made after its undo
#: goes by these.
SETTLING = 240
#: The longest that a seed may take: both halves of the burst, both censuses, and all that is
#: started again meanwhile. In seconds.
LONGEST = 2 * (PATIENCE + SETTLING) + 260
#: The same with a world that is made before it, and left behind.
LONGEST_TEST = LONGEST + 600


@dataclass
class Result:
    """What became of a seed. All times are in seconds.

    ``settled``: from the last fault's end to all gone; ``ready``: from the first request to all
    at rest.
    """

    faults: Sequence[Fault]
    findings: list[str] = field(default_factory=list)
    seconds: float = 0
    ready: float = 0
    settled: float = 0
    phases: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    journal: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    servers_made: int = 0
    servers_wanted: int = 0
    webhooks: int = 0
    unanswered: int = 0

    def note(self, text: str) -> None:
        """Write into the journal, with the seconds since the beginning."""
        self.journal.append(f"{time.monotonic() - self.begun:6.1f} s  {text}")

    def told(self) -> str:
        """Return all that is known of it as text: what is kept of a failed test is its output."""
        faults = "\n".join(str(fault) for fault in self.faults)
        findings, journal = "\n".join(self.findings), "\n".join(self.journal)
        return f"{findings}\n--- faults\n{faults}\n--- journal\n{journal}"


Bring = Callable[[World, Fault], AbstractAsyncContextManager[None]]
"""Returns a fault to be entered: broken inside, mended at its end."""


class Saboteur:
    """Brings the faults of a schedule about, each when its share of the burst is done.

    Those of one service (or other target) in turn, so that of two replicas one is there all along.
    """

    def __init__(self, world: World, result: Result, progress: Progress, bring: Bring) -> None:
        self._world, self._note, self._bring = world, result.note, bring
        faults = result.faults
        self._progress = progress
        self._turns = {service_of(one.target): asyncio.Lock() for one in faults}
        self._tasks = {one: asyncio.create_task(self._play(one)) for one in faults}
        self.last_mended = time.monotonic()

    async def _play(self, what: Fault) -> None:
        await self._progress.reached(what.at)
        async with self._turns[service_of(what.target)]:
            self._note(f"begins: {what}")
            async with self._bring(self._world, what):
                await asyncio.sleep(what.seconds)
            self.last_mended = time.monotonic()
            self._note(f"mended: {what}")

    async def mended(self, up_to: float) -> None:
        """Wait until all that was due up to this share of the burst is over."""
        await asyncio.gather(*(task for one, task in self._tasks.items() if one.at <= up_to))

    async def stop(self) -> None:
        """Mend what is broken, and break nothing more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def run(world: World, plans: list[Plan], result: Result, bring: Bring = fault) -> None:
    """Play the burst and judge it twice: when all is made, and all unmade.

    Args:
        world: Where it is played.
        plans: The burst.
        result: What goes wrong meanwhile, and where all that becomes of it is noted.
        bring: How a fault is brought about.
    """
    async with asyncio.timeout(LONGEST):
        await _run(world, plans, result, bring)


async def _run(world: World, plans: list[Plan], result: Result, bring: Bring) -> None:
    before = await eventually(partial(_before, world), what="a census")
    world.duplicates.clear()
    world.gave_up.clear()
    world.receiver.received.clear()
    async with a_burst(world, plans, before.positions, result.note) as burst:
        saboteur = Saboteur(world, result, burst.progress, bring)
        try:
            for unmade in (False, True):
                unsettled = await (burst.unmake() if unmade else burst.make())
                at_rest = time.monotonic()
                result.ready = result.ready or at_rest - result.begun
                for line in unsettled:
                    result.note(f"stuck: {line}")
                if unsettled:
                    await saboteur.stop()
                else:
                    result.note("all is gone" if unmade else "all is at rest")
                    await saboteur.mended(1 if unmade else MADE)
                result.settled = max(0.0, at_rest - saboteur.last_mended)
                # Only when all is unmade are the queues to be empty.
                async with world.quiet() if unmade else nullcontext():
                    judged = await _judged(burst, before, result.faults, unsettled, unmade=unmade)
                result.findings += judge(judged)
                result.note("the census is taken")
                if not unmade:
                    result.phases.update(row.phase.value for row in judged.ledger)
                if unsettled:
                    break
        finally:
            await saboteur.stop()
    for process in world.colobus.processes:
        await world.count_duplicates(process)
    result.duplicates += world.duplicates
    ids = {id for ids in burst.answers.values() for id in ids}
    if world.works is None:
        made = await asyncio.to_thread(nova.servers_made, world.supervisor.site, ids)
    else:
        taken = await evidence.reservations(world, before)
        made = await asyncio.to_thread(world.works.made, ids, taken)
    result.servers_made, result.servers_wanted = made.total(), len(made)
    result.unanswered = await evidence.unanswered(world, ids)
    result.webhooks = len(evidence.webhooks(world, before))
    result.seconds = time.monotonic() - result.begun


async def _before(world: World) -> Before | None:
    try:
        return await evidence.look_before(world)
    except OUT:
        return None


async def _judged(
    burst: Burst, before: Before, faults: Sequence[Fault], unsettled: list[str], *, unmade: bool
) -> Evidence:
    """Gather until nothing is wrong twice in a row, or it stays so: what is on its way may arrive.

    The second look is for what the first can't know yet, such as the queues' newest figures. Where
    something never came to rest, one look is enough: it is wrong whatever else arrives.
    """
    settling = Deadline.after(SETTLING)
    clean = False
    while True:
        try:
            found = await evidence.gather(burst, before, faults, unsettled=unsettled, unmade=unmade)
            was_clean, clean = clean, not judge(replace(found, unsettled=()))
            if (clean and was_clean) or unsettled or settling.expired:
                return found
        except OUT:  # whom we ask is being restarted
            clean = False
            if settling.expired:
                raise
        await asyncio.sleep(RENEWED if clean else 0.5)
