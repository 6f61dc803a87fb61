"""What goes wrong in a cloud, and what a request becomes then."""

from __future__ import annotations

import pytest

from colobus.client import Client
from colobus.models import CreateVm, LeaseRequest, Phase, Reason, Resource
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import Installation

SMALL = CreateVm(image="debian-12", flavor="small")


async def _until_building(client: Client, vm: str) -> None:
    async def building() -> bool:
        return "server_id" in (await client.get(vm)).status.outputs

    await eventually(building, what="Nova has accepted the server")


async def test_delete_while_building_and_twice(cloud: Cloud, bigtop: Client) -> None:
    """It ends in deleted, with nothing left; a second delete is no error."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="slow", floating_ip=True))
    await _until_building(bigtop, vm.id)
    await bigtop.delete(vm.id)
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=180)
    assert cloud.holds(vm.id).counts == NOTHING
    await bigtop.delete(vm.id)
    assert (await bigtop.get(vm.id)).status.phase is Phase.DELETED


async def test_delete_at_once(cloud: Cloud, bigtop: Client) -> None:
    """A delete right behind the create is not overtaken by it."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="small", floating_ip=True))
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=180)
    assert cloud.holds(vm.id).counts == NOTHING


async def test_a_vm_removed_behind_our_back_fails_and_leaves_nothing(
    cloud: Cloud, bigtop: Client
) -> None:
    """Somebody deletes the server in Nova: we notice, say so, and clean up the rest."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="small", floating_ip=True))
    active = await bigtop.wait(vm.id, timeout=120)
    cloud.admin.compute.delete_server(active.status.outputs["server_id"])
    failed = await bigtop.wait(vm.id, Phase.FAILED, timeout=120)
    assert failed.status.reason is Reason.REMOVED_EXTERNALLY
    assert cloud.holds(vm.id).counts == NOTHING


async def test_delete_of_what_somebody_removed_already(cloud: Cloud, bigtop: Client) -> None:
    """All of it gone behind our back: the delete ends in deleted all the same."""
    vm = await bigtop.create_vm(SMALL)
    active = await bigtop.wait(vm.id, timeout=120)
    (port,) = cloud.holds(vm.id).ports
    cloud.admin.compute.delete_server(active.status.outputs["server_id"])
    cloud.admin.network.delete_port(port.id)
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=120)
    assert cloud.holds(vm.id).counts == NOTHING


@pytest.mark.parametrize(
    ("flavor", "reason", "words"),
    [
        ("huge", Reason.NO_VALID_HOST, "No valid host was found"),
        ("broken", Reason.BUILD_FAILED, "spawn failure"),
    ],
)
async def test_a_server_in_error_is_failed_in_novas_own_words(
    cloud: Cloud, bigtop: Client, flavor: str, reason: Reason, words: str
) -> None:
    """The fault's text, whether a retry may help, and nothing held any more."""
    request = CreateVm(image="debian-12", flavor=flavor, floating_ip=True)
    vm = await bigtop.create_vm(request)
    failed = await bigtop.wait(vm.id, Phase.FAILED, timeout=180)
    assert failed.status.error is not None
    assert failed.status.error.retryable
    detail = failed.status.error.detail or ""
    # Nova tells of a spawn that failed on every host as of a host that could not be found.
    assert words in detail or "Exceeded maximum number of retries" in detail, detail
    assert failed.status.reason in {reason, Reason.NO_VALID_HOST}
    assert cloud.holds(vm.id).counts == NOTHING


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image": "no-such-image"}, Reason.IMAGE_NOT_FOUND),
        ({"flavor": "no-such-flavor"}, Reason.FLAVOR_NOT_FOUND),
        ({"network": "no-such-network"}, Reason.NETWORK_NOT_FOUND),
        ({"security_groups": ("no-such-group",)}, Reason.SECURITY_GROUP_NOT_FOUND),
    ],
)
async def test_what_the_cloud_does_not_have_is_named(
    cloud: Cloud, bigtop: Client, fields: dict[str, str], reason: Reason
) -> None:
    """Failed with the reason, and the name that wasn't found in the text."""
    vm = await bigtop.create_vm(CreateVm(**{"image": "debian-12", "flavor": "small", **fields}))  # type: ignore[arg-type]
    failed = await bigtop.wait(vm.id, Phase.FAILED, timeout=120)
    assert failed.status.reason is reason
    assert failed.status.error is not None
    assert "no-such" in (failed.status.error.detail or "")
    assert cloud.holds(vm.id).counts == NOTHING


@pytest.mark.parametrize("component", ["nova-api", "keystone", "neutron"])
async def test_an_outage_keeps_the_phase_and_passes(
    colobus: Installation, cloud: Cloud, bigtop: Client, component: str
) -> None:
    """Down for the best part of a minute: the phase stays, the reason says why, then it goes on.

    The worker is started anew meanwhile: with the tokens that it has, it would not even notice
    that Keystone is gone.
    """
    with cloud.without(component):
        colobus.kill("vm_worker")
        colobus.start("vm_worker")
        vm = await bigtop.create_vm(SMALL)

        async def held_up() -> Resource | None:
            seen = await bigtop.get(vm.id)
            assert seen.status.phase in {Phase.REQUESTED, Phase.PROVISIONING, Phase.WAITING}
            tried = max((step.attempt for step in seen.status.steps), default=0)
            return seen if tried >= 5 else None

        seen = await eventually(held_up, within=240, what="five attempts were made")
        assert seen.status.phase is Phase.PROVISIONING
        assert seen.status.reason is Reason.BACKEND_UNAVAILABLE
    active = await bigtop.wait(vm.id, timeout=180)
    assert active.status.reason is None
    assert cloud.holds(vm.id).counts == (1, 1, 0)
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=120)


async def test_an_outage_during_the_build_is_shown_and_passes(cloud: Cloud, bigtop: Client) -> None:
    """Nova can't be asked whether the server is ready: the reason says so until it can."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="slow"))
    await _until_building(bigtop, vm.id)
    with cloud.without("nova-api"):

        async def held_up() -> bool:
            status = (await bigtop.get(vm.id)).status
            assert status.phase is Phase.PROVISIONING
            return status.reason is Reason.BACKEND_UNAVAILABLE

        await eventually(held_up, what="the reason is shown")
    await bigtop.wait(vm.id, timeout=240)
    await bigtop.delete(vm.id)
    await bigtop.wait(vm.id, Phase.DELETED, timeout=120)


async def test_a_lease_runs_out_and_the_vm_goes(cloud: Cloud, bigtop: Client) -> None:
    """Extended, it lives longer; then it is deleted with the reason."""
    request = CreateVm(image="debian-12", flavor="small", lease=LeaseRequest(ttl=600))
    vm = await bigtop.create_vm(request)
    active = await bigtop.wait(vm.id, timeout=120)
    assert active.lease is not None
    await bigtop.extend(vm.id, 3)
    gone = await bigtop.wait(vm.id, Phase.DELETED, timeout=120)
    assert gone.status.reason is Reason.LEASE_EXPIRED
    assert cloud.holds(vm.id).counts == NOTHING


async def test_a_deadline_passes_and_the_making_is_undone(cloud: Cloud, bigtop: Client) -> None:
    """What isn't active in time is failed, and holds nothing."""
    vm = await bigtop.create_vm(CreateVm(image="debian-12", flavor="slow", deadline=5))
    failed = await bigtop.wait(vm.id, Phase.FAILED, timeout=180)
    assert failed.status.reason is Reason.DEADLINE_EXCEEDED
    assert cloud.holds(vm.id).counts == NOTHING
