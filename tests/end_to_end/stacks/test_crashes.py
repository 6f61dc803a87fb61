"""The worker and Heat's engine killed in the middle of a making, both on the real parts."""

from __future__ import annotations

import asyncio
from typing import Any

from colobus.client import Client
from colobus.models import CreateStack, Phase, Resource
from tests.end_to_end.stacks.conftest import Heat
from tests.support.conditions import eventually
from tests.support.installation import Installation

#: A server of this flavor is a while in the making: long enough to be killed over.
TEMPLATE: dict[str, Any] = {
    "heat_template_version": "2018-08-31",
    "resources": {
        "network": {"type": "OS::Neutron::Net"},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {"network": {"get_resource": "network"}, "cidr": "10.9.0.0/24"},
        },
        "server": {
            "type": "OS::Nova::Server",
            "depends_on": "subnet",
            "properties": {
                "image": "debian-12",
                "flavor": "small",
                "networks": [{"network": {"get_resource": "network"}}],
            },
        },
    },
}


async def test_killed_in_the_middle_it_is_made_or_fails_and_leaves_nothing(
    bigtop: Client, stacking: Installation, heat: Heat
) -> None:
    """What was accepted is not lost: the ledger knows what is open, and Heat what is there."""
    before = heat.belongings()
    made = await bigtop.create_stack(CreateStack(template=TEMPLATE))
    await eventually(lambda: _is_in_heat(heat), within=60, what="Heat has begun")
    stacking.kill("stack_worker")
    heat.cloud.supervisor.kill("heat-engine")
    heat.cloud.supervisor.start("heat-engine")
    stacking.start("stack_worker")

    async def ended() -> Resource | None:
        shown = await bigtop.get(made.id)
        return shown if shown.status.phase in {Phase.ACTIVE, Phase.FAILED} else None

    shown = await eventually(ended, within=240, what="the stack is made, or has failed")
    if shown.status.phase is Phase.FAILED:
        assert shown.status.reason == "stack_failed"
        assert shown.status.error is not None
        assert shown.status.error.detail
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=180)
    assert heat.stacks() == []
    assert heat.belongings() == before


async def _is_in_heat(heat: Heat) -> bool:
    return bool(await asyncio.to_thread(heat.stacks))
