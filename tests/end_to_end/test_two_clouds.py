"""Two clouds: what one refuses the other takes."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from colobus.client import Client
from colobus.models import CreateVm, Phase, Reason, Resource
from devcloud.components.catalog import COMPUTE_QUOTA
from services.scheduler.gate_rows import WAITS
from tests.end_to_end.two_clouds import ONE, SMALL, TWO, TwoClouds, cloud_of, delete_all, said_of
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import installation

QUOTAS = {"bigtop": {"vms": 20, "floating_ips": 8}, "openlab": {"vms": 4}}
#: A VM that goes to a second cloud is made twice, each time with a network of its own.
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def two(both: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClouds]:
    """An installation whose tenant bigtop is on both clouds, openlab on the first only."""
    folder = tmp_path_factory.mktemp("two")
    cloud = Cloud(both, "nobody")
    with cloud.project("two-clouds") as own:  # its quota is nobody else's
        cloud.admin.compute.update_quota_set(own, **COMPUTE_QUOTA)
        projects = {ONE: own, TWO: both["DEVCLOUD_TWO_PROJECT_ID_BIGTOP"]}
        archs = {ONE: ["x86_64"], TWO: ["aarch64"]}
        options = {"projects": {"bigtop": projects}, "archs": archs}
        with installation(both, folder, QUOTAS, **options) as made:  # type: ignore[arg-type]
            made.start()
            seen = Cloud(both, made.name)
            yield TwoClouds(made, seen, projects)
            made.stop()
            seen.clear()


@pytest.fixture
async def client(two: TwoClouds) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(two.installed.url, token=two.installed.tokens["bigtop"]) as made:
        yield made


async def _until_waiting(client: Client, vm: str, words: str) -> Resource:
    async def waiting() -> Resource | None:
        seen = await client.get(vm)
        there = seen.status.phase is Phase.WAITING and words in (seen.status.message or "")
        return seen if there else None

    try:
        return await eventually(waiting, within=180, what=f"it waits: {words}")
    except AssertionError as late:
        raise AssertionError(f"{late}; {(await client.get(vm)).status}") from late


async def _served(client: Client, vms: Sequence[Resource]) -> Resource | None:
    """The one of these that is active; there may be no other."""
    active = [
        vm for vm in [await client.get(vm.id) for vm in vms] if vm.status.phase is Phase.ACTIVE
    ]
    assert len(active) <= 1
    return active[0] if active else None


async def _tries(client: Client, vm: str) -> int:
    """How often it was admitted."""
    phases = [told.phase async for told in client.timeline(vm) if told.phase]
    return sum(
        now is Phase.PROVISIONING and before is not Phase.PROVISIONING
        for before, now in itertools.pairwise([None, *phases])
    )


async def test_no_valid_host_on_the_first_is_active_on_the_second(
    two: TwoClouds, client: Client
) -> None:
    """Nothing is left on the first, and the placement says why it is where it is."""
    vm = await client.create_vm(CreateVm(image="debian-12", flavor="huge", floating_ip=True))
    active = await client.wait(vm.id, timeout=300)
    assert cloud_of(active) == TWO
    assert "refused it: no_valid_host: No valid host was found" in said_of(active, ONE)
    assert "chosen: room for" in said_of(active, TWO)
    assert two.where(vm.id) == [TWO, TWO, TWO]
    await delete_all(client, active)
    assert two.cloud.holds(vm.id).counts == NOTHING


async def test_a_tenant_of_one_cloud_stays_there(two: TwoClouds) -> None:
    """It has no project on the other one: no valid host means failed."""
    async with Client(two.installed.url, token=two.installed.tokens["openlab"]) as openlab:
        vm = await openlab.create_vm(CreateVm(image="debian-12", flavor="huge"))
        failed = await openlab.wait(vm.id, Phase.FAILED, timeout=300)
    assert failed.status.reason is Reason.NO_VALID_HOST
    assert two.cloud.holds(vm.id).counts == NOTHING


async def test_full_on_the_first_means_the_second_and_full_on_both_means_waiting(
    two: TwoClouds, client: Client
) -> None:
    """In Nova's words; when something ends, one of those that wait tries, and is served."""
    begun = time.monotonic()
    with two.room(ONE, 1), two.room(TWO, 1):
        first = await client.create_vm(SMALL)
        assert cloud_of(await client.wait(first.id, timeout=300)) == ONE
        second = await client.wait((await client.create_vm(SMALL)).id, timeout=300)
        assert cloud_of(second) == TWO
        assert "Quota exceeded" in said_of(second, ONE)
        third = await client.create_vm(SMALL)
        waiting = await _until_waiting(client, third.id, f"{TWO}: Quota exceeded")
        assert waiting.status.reason is Reason.QUOTA_EXCEEDED
        assert f"{ONE}: Quota exceeded" in (waiting.status.message or "")
        assert two.cloud.holds(third.id).counts == NOTHING
        behind = [await client.create_vm(SMALL) for _ in range(3)]
        for vm in behind:
            await _until_waiting(client, vm.id, "Quota exceeded")
        await delete_all(client, second)
        queue = [third, *behind]
        served = await eventually(lambda: _served(client, queue), within=300, what="one is served")
        assert cloud_of(served) == TWO
        others = [vm for vm in queue if vm.id != served.id]
        for vm in others:
            await _until_waiting(client, vm.id, "Quota exceeded")
        # No more often than the clouds' gates let anybody: after an end, after what found room, and
        # else when it is time; and the third had to be refused by both first.
        tries = sum([await _tries(client, vm.id) for vm in queue])
        timely = 2 * (time.monotonic() - begun) / WAITS[0]
        assert tries <= 2 + 2 + timely
        await delete_all(client, first, *queue)
    assert all(two.cloud.holds(vm.id).counts == NOTHING for vm in (first, second, *queue))


async def test_an_image_that_the_first_does_not_have_is_found_on_the_second(
    two: TwoClouds, client: Client
) -> None:
    """What a name means is each cloud's own."""
    owner = two.cloud.connect(ONE, two.projects[TWO])
    image = owner.image.create_image(
        name=f"private-{secrets.token_hex(4)}",
        data=b"x",
        disk_format="raw",
        container_format="bare",
        visibility="private",
        wait=True,
        timeout=60,
    )
    try:
        vm = await client.create_vm(CreateVm(image=image.name, flavor="small"))
        active = await client.wait(vm.id, timeout=300)
        assert cloud_of(active) == TWO
        assert "image_not_found" in said_of(active, ONE)
        await delete_all(client, active)
    finally:
        owner.image.delete_image(image)
    assert two.cloud.holds(vm.id).counts == NOTHING


async def test_the_architecture_decides(two: TwoClouds, client: Client) -> None:
    """The cloud that has it; where none has, it fails and says what there is."""
    request = CreateVm(image="debian-12", flavor="small", arch="aarch64")
    active = await client.wait((await client.create_vm(request)).id, timeout=300)
    assert cloud_of(active) == TWO
    assert said_of(active, ONE) == f"{ONE}: has x86_64, not aarch64"
    request = CreateVm(image="debian-12", flavor="small", arch="riscv64")
    vm = await client.create_vm(request)
    failed = await client.wait(vm.id, Phase.FAILED, timeout=60)
    assert failed.status.reason is Reason.NO_CLOUD
    assert f"{TWO}: has aarch64, not riscv64" in (failed.status.message or "")
    await delete_all(client, active)
