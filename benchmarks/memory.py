"""Resident memory of each service: idle, and after a burst that went through all of them.

The burst is POSTs to the front door for VMs that an instant cloud makes, with a subscriber for the
webhooks. The figure is the resident set (psutil) of each process; there is no target.
"""

from __future__ import annotations

import asyncio

import psutil

from benchmarks.figures import Figure
from benchmarks.world import TENANT, World, report_of
from colobus import Client, NewWebhook
from shared.contract.resources import Phase
from tests.support.installation import SERVICES, Installation
from tests.support.webhooks import Receiver, receiving


def run(world: World) -> list[Figure]:
    """Measure idle, put load on, measure again."""
    with world.colobus() as colobus:
        colobus.start("scheduler", "webhook_worker", "front_door")
        # The real worker, to be measured idle; then its double, which does the work.
        colobus.start("vm_worker")
        idle = _resident(colobus)
        colobus.stop("vm_worker")
        colobus.modules["vm_worker"] = "benchmarks.instant_worker"
        colobus.start("vm_worker")
        loaded = asyncio.run(_under_load(colobus, world.size(5, 1)))
    return [
        figure
        for service in SERVICES
        for figure in (
            Figure(what=f"{service}, idle", ours=idle[service], unit="MiB"),
            Figure(
                what="under load, at most",
                ours=loaded[service],
                unit="MiB",
                note="before an instant cloud" if service == "vm_worker" else "",
            ),
        )
    ]


async def _under_load(colobus: Installation, seconds: int) -> dict[str, float]:
    async with (
        receiving() as receiver,
        Client(colobus.url, token=colobus.tokens[TENANT]) as client,
    ):
        await client.webhooks.create(NewWebhook(url=receiver.url()))
        arguments = [
            f"--port={colobus.ports['front_door']}",
            f"--token={colobus.tokens[TENANT]}",
            f"--seconds={seconds}",
            "--network=bench",
        ]
        load = asyncio.create_task(asyncio.to_thread(report_of, "benchmarks.http_load", *arguments))
        most = _resident(colobus)
        while not load.done() or not await _quiet(client, receiver):
            now = _resident(colobus)
            most = {service: max(most[service], now[service]) for service in most}
            await asyncio.sleep(0.1)
    return most


async def _quiet(client: Client, receiver: Receiver) -> bool:
    """Whether all that were asked for are active, and somebody was told."""
    open_phases = [Phase.REQUESTED, Phase.WAITING, Phase.PROVISIONING]
    async for _ in client.list(phases=open_phases):
        return False
    return bool(receiver.received)


def _resident(colobus: Installation) -> dict[str, float]:
    return {
        service: psutil.Process(process.pid).memory_info().rss / 2**20
        for service, process in colobus.processes.items()
    }
