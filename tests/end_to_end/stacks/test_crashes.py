"""The worker and Heat's engine killed in the middle of a making, both on the real parts."""

from __future__ import annotations

import asyncio
from typing import Any

from colobus.client import Client
from colobus.models import CreateStack, Phase, Resource
from tests.end_to_end.stacks.conftest import Heat
from tests.support.conditions import eventually
from tests.support.installation import Installation

#: So long an end may take on a busy machine, in seconds.
LONG = 180


def _template(flavor: str) -> dict[str, Any]:
    """A server on a network of its own."""
    network = {"get_resource": "network"}
    subnet = {"network": network, "cidr": "10.9.0.0/24"}
    server = {"image": "debian-12", "flavor": flavor, "networks": [{"network": network}]}
    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "network": {"type": "OS::Neutron::Net"},
            "subnet": {"type": "OS::Neutron::Subnet", "properties": subnet},
            "server": {"type": "OS::Nova::Server", "depends_on": "subnet", "properties": server},
        },
    }


async def test_a_worker_that_was_killed_over_it_loses_nothing(
    bigtop: Client, stacking: Installation, heat: Heat
) -> None:
    """The ledger knows what is open, and Heat what is there."""
    before = heat.belongings()
    made = await _begun(bigtop, heat, "small", "network")
    stacking.kill("stack_worker")
    stacking.start("stack_worker")
    await bigtop.wait(made.id, timeout=LONG)
    assert [one["stack_name"] for one in heat.stacks()] == [made.id]
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks() == []
    assert heat.belongings() == before


async def test_what_heats_engine_was_killed_over_can_be_deleted(bigtop: Client, heat: Heat) -> None:
    """Heat leaves such a stack in progress for ever; deleted, it goes, with all that it had noted.

    It is killed while Nova builds: what Heat has made and not yet noted is lost to it, and to us.
    """
    before, supervisor = heat.belongings(), heat.cloud.supervisor
    made = await _begun(bigtop, heat, "slow", "server")
    await asyncio.to_thread(supervisor.kill, "heat-engine")
    await asyncio.to_thread(supervisor.start, "heat-engine")
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks() == []
    assert heat.belongings() == before


async def _begun(client: Client, heat: Heat, flavor: str, part: str) -> Resource:
    """A stack of which Heat has noted that this part is there, made or in the making."""
    made = await client.create_stack(CreateStack(template=_template(flavor)))

    async def is_noted() -> bool:
        return part in await asyncio.to_thread(heat.noted, made.id)

    await eventually(is_noted, within=60, what=f"Heat has begun with the {part}")
    return made
