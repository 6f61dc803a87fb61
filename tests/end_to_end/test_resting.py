"""A cloud that keeps failing is rested; what was on its way there goes elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from colobus.client import Client
from colobus.models import Phase, Resource
from tests.end_to_end.two_clouds import ONE, SMALL, TWO, TwoClouds, cloud_of, delete_all, said_of
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import installation
from tests.support.proxy import Proxy

QUOTAS = {"bigtop": {"vms": 20}}
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
async def cable(both: dict[str, str]) -> AsyncIterator[Proxy]:
    """The way to the first cloud's Neutron."""
    endpoints = Cloud(both, "nobody").admin.network
    async with Proxy.to(endpoints.get_endpoint()) as made:
        yield made


@pytest.fixture
def fragile(both: dict[str, str], cable: Proxy, tmp_path: Path) -> Iterator[TwoClouds]:
    """An installation that reaches the first cloud's Neutron by the cable only."""
    clouds: dict[str, Any] = yaml.safe_load(Path(both["OS_CLIENT_CONFIG_FILE"]).read_text())
    clouds["clouds"][ONE]["network_endpoint_override"] = cable.url
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
    projects = {
        ONE: both["DEVCLOUD_PROJECT_ID_BIGTOP"],
        TWO: both["DEVCLOUD_TWO_PROJECT_ID_BIGTOP"],
    }
    extra = {
        "vm_worker": {"COLOBUS_CLOUDS_FILE": str(tmp_path / "clouds.yaml")},
        "scheduler": {
            "COLOBUS_REST_FAILURES": "3",
            "COLOBUS_REST_SECONDS": "30",
            "COLOBUS_REST_MOST_SECONDS": "60",
        },
    }
    with installation(both, tmp_path, QUOTAS, extra, projects={"bigtop": projects}) as made:
        made.start()
        seen = Cloud(both, made.name)
        yield TwoClouds(made, seen, projects)
        made.stop()
        seen.clear()


async def test_a_cloud_that_keeps_failing_is_rested_and_tried_again(
    fragile: TwoClouds, cable: Proxy
) -> None:
    """Those on their way there go to the other one; once mended, one request finds out."""
    async with Client(fragile.installed.url, token=fragile.installed.tokens["bigtop"]) as client:
        before = await client.wait((await client.create_vm(SMALL)).id, timeout=300)
        assert cloud_of(before) == ONE
        await cable.refuse()
        await cable.cut()
        stranded = [await client.create_vm(SMALL) for _ in range(3)]

        async def resting() -> bool:
            capacity = {one.cloud: one for one in (await client.capacity()).clouds}
            assert capacity[TWO].resting_until is None
            return capacity[ONE].resting_until is not None

        # The rest is short: seen as it begins, and not when all have moved.
        await eventually(resting, within=300, what="the first cloud rests")
        moved = [await client.wait(vm.id, timeout=300) for vm in stranded]
        assert {cloud_of(vm) for vm in moved} == {TWO}

        async def said() -> Resource | None:
            vm = await client.wait((await client.create_vm(SMALL)).id, timeout=300)
            assert cloud_of(vm) == TWO
            moved.append(vm)
            return vm if "resting until" in said_of(vm, ONE) else None

        told = await eventually(said, within=300, what="a placement says that it rests")
        assert "failures" in said_of(told, ONE)
        assert (await client.get(before.id)).status.phase is Phase.ACTIVE
        await cable.accept()

        async def used() -> Resource | None:
            vm = await client.wait((await client.create_vm(SMALL)).id, timeout=300)
            moved.append(vm)
            return vm if cloud_of(vm) == ONE else None

        after = await eventually(used, within=300, what="the first cloud is used again")
        assert fragile.where(after.id) == [ONE, ONE]
        await delete_all(client, before, *moved)
    assert fragile.cloud.holds().counts == NOTHING
