"""The time until a VM is active, against a bare openstacksdk script on the same cloud.

| | target |
|---|---|
| one VM: from the POST until the client's `wait` returns, ours / script (`bare_script`) | ≤ 1.15 |
| twenty at once: until the last one is active | ≤ 1.0 |
| from Nova's ``launched_at`` to the requester's webhook, twenty at once, median | ≤ 0.5 s |
| calls to the cloud per VM, create and delete, no floating IP (the worker's metric) | ≤ 4.5 |

Same project, network, image and flavor. Nova keeps ``launched_at`` in whole seconds, rounded, so a
single difference is off by up to half a second, and a median of twenty is not far off. Nodepool
makes 8.6 calls per VM.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World, report_of
from colobus import Client, CreateVm, Phase
from tests.support.cloud import Cloud
from tests.support.installation import Installation
from tests.support.webhooks import Received, Receiver, receiving

MANY = 20


def run(world: World) -> list[Figure]:
    """Measure one, then many, in turn with the script."""
    many = world.size(MANY, 2)
    with world.colobus() as colobus:
        colobus.start()
        cloud = Cloud(world.environment, colobus.name)
        try:
            asyncio.run(_make(colobus, 1))  # the tenant's network is made, names are looked up
            _prepare_script(world.environment, cloud)
            one = [_both(colobus, cloud, 1) for _ in range(world.rounds)]
            calls = _calls(colobus)
            burst = [_both(colobus, cloud, many) for _ in range(max(1, world.rounds - 2))]
            per_vm = (_calls(colobus) - calls) / (many * len(burst))
        finally:
            colobus.stop()
            cloud.clear()
    lags = [lag for made, _ in burst for lag in made.lags]
    return [
        side_by_side("one VM, until active", _times(one), "s", at_most=1.15),
        side_by_side(f"{many} VMs at once, until all are", _times(burst), "s", at_most=1.0),
        Figure(
            what=f"launched_at → webhook, {many} at once, median",
            ours=median(lags),
            unit="s",
            at_most=0.5,
            spread=(min(lags), max(lags)),
        ),
        Figure(what="calls to the cloud per VM", ours=per_vm, unit="", at_most=4.5),
    ]


class Made:
    """What one run of ours took; ``lags``: seconds from launch to webhook, per VM."""

    def __init__(self, seconds: float, launches: Mapping[str, datetime]) -> None:
        self.seconds, self._launches = seconds, launches
        self.told: dict[str, datetime] = {}

    @property
    def lags(self) -> list[float]:
        """In no order."""
        return [(self.told[one] - at).total_seconds() for one, at in self._launches.items()]


def _both(colobus: Installation, cloud: Cloud, count: int) -> tuple[Made, float]:
    made = asyncio.run(_make(colobus, count, cloud))
    return made, report_of("benchmarks.bare_script", str(count))["seconds"]


def _times(rounds: list[tuple[Made, float]]) -> list[tuple[float, float]]:
    return [(made.seconds, script) for made, script in rounds]


async def _make(colobus: Installation, count: int, cloud: Cloud | None = None) -> Made:
    """Make VMs, wait for them, and take them away again."""
    async with receiving() as receiver, Client(colobus.url, token=colobus.tokens[TENANT]) as client:
        told: dict[str, datetime] = {}
        watching = asyncio.create_task(_note_arrivals(receiver, told))
        wanted = CreateVm(image="debian-12", flavor="small", callback_url=receiver.url())
        began = time.perf_counter()

        ids: list[str] = []

        async def one() -> None:
            created = await client.create_vm(wanted)
            ids.append(created.id)
            await client.wait(created.id)

        try:
            await asyncio.gather(*(one() for _ in range(count)))
            made = Made(time.perf_counter() - began, _launches(cloud, ids) if cloud else {})
            await receiver.until(lambda: told.keys() >= set(ids))
        finally:
            watching.cancel()
            await asyncio.gather(*(client.delete(one_id) for one_id in ids))
            await asyncio.gather(*(client.wait(one_id, Phase.DELETED) for one_id in ids))
        made.told = told
        return made


async def _note_arrivals(receiver: Receiver, told: dict[str, datetime]) -> None:
    """Note when each VM's webhook that says active has come."""
    seen: list[Received] = []
    while True:
        await receiver.until(lambda: len(receiver.received) > len(seen), seconds=600)
        now = datetime.now(UTC)
        for received in receiver.received[len(seen) :]:
            seen.append(received)
            if received.phase == "active":
                told.setdefault(received.event["data"]["resource"]["id"], now)


def _launches(cloud: Cloud, ids: list[str]) -> dict[str, datetime]:
    servers: dict[str, Any] = {
        one["metadata"]["colobus_resource"]: one for one in cloud.holds().servers
    }
    return {
        one: datetime.fromisoformat(servers[one]["OS-SRV-USG:launched_at"]).replace(tzinfo=UTC)
        for one in ids
    }


def _prepare_script(environment: Mapping[str, str], cloud: Cloud) -> None:
    """Have the script use our tenant's project and the network that was made there."""
    description = cloud.marks.description()
    (network,) = [n for n in cloud.admin.network.networks() if n.description == description]
    os.environ |= {
        "BENCH_CLOUDS": environment["OS_CLIENT_CONFIG_FILE"],
        "BENCH_CLOUD": "devcloud",
        "BENCH_PROJECT_ID": environment[f"DEVCLOUD_PROJECT_ID_{TENANT.upper()}"],
        "BENCH_NETWORK_ID": network.id,
    }


def _calls(colobus: Installation) -> float:
    with urllib.request.urlopen(f"{colobus.url_of('vm_worker')}/metrics") as answer:  # noqa: S310
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "colobus_vm_worker_api_calls_total"
    )
