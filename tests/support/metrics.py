"""Reading what a process shows to Prometheus."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.installation import Installation


async def total(installation: Installation, process: str, name: str, **labels: str) -> float:
    """The sum of all samples of this name that have these labels."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{installation.url_of(process)}/metrics") as response,
    ):
        families = text_string_to_metric_families(await response.text())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
