"""Machines: the words of VMs under another address; who opens what is sealed is another worker."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contract.resources import Phase, Placement, Status
from shared.runtime.secrets import UnreadableSecret
from tests.integration.front_door.harness import Door, House, Neighbours, Tenant, a_resource
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
A_MACHINE: dict[str, Any] = {"image": "debian-12", "flavor": "rack"}
KEY = "ssh-ed25519 AAAA me"
SECRET = "#cloud-config\npassword: tops3cret"


async def test_a_machine_is_asked_for_like_a_vm(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """202, visible at once, and a request under its own routing key, with all that a VM takes."""
    more = {"floating_ip": True, "ssh_keys": [KEY], "network": "net", "security_groups": ["web"]}
    spec = {**A_MACHINE, **more, "root_gib": 40, "arch": "aarch64"}
    answer = await door.post("/v1/machines", tenant, {**spec, "name": "m", "lease": {"ttl": 60}})
    assert answer.status == 202, answer.body
    assert answer.headers["Location"] == f"/v1/machines/{answer.json['id']}"
    assert (answer.json["kind"], answer.json["spec"]) == ("machine", spec)
    assert (await door.get(answer.headers["Location"], tenant)).json == answer.json
    (delivery,) = await neighbours.deliveries(tenant, 1)
    assert delivery.routing_key == f"{tenant.name}.machine.create"
    (request,) = await neighbours.requests(tenant)
    assert (request.kind, request.spec, request.lease_ttl) == ("machine", spec, 60)


async def test_user_data_is_sealed_to_whoever_writes_it_to_a_disk(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Not to the kind's worker; it is in no table, no message and no answer, now or later."""
    answer = await door.post("/v1/machines", tenant, {**A_MACHINE, "user_data": SECRET})
    assert (answer.status, answer.json["spec"]) == (202, A_MACHINE)
    (message,) = await neighbours.requests(tenant)
    sealed = message.spec["sealed_user_data"]
    assert house.sealing_keys["iscsi_worker"].open(sealed).decode() == SECRET
    with pytest.raises(UnreadableSecret):
        house.sealing_keys["vm_worker"].open(sealed)
    (delivery,) = await neighbours.deliveries(tenant, 1)
    rows = await house.sql("SELECT * FROM requests WHERE tenant = $1", tenant.name)
    rows += await house.sql("SELECT * FROM resources WHERE tenant = $1", tenant.name)
    assert "tops3cret" not in repr([dict(row) for row in rows]) + repr(delivery)
    for path in (f"/v1/machines/{answer.json['id']}", "/v1/machines", "/v1/resources"):
        shown = (await door.get(path, tenant)).body
        assert answer.json["id"].encode() in shown
        assert b"user_data" not in shown


async def test_what_the_scheduler_tells_shows_all_places_and_no_secret(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Metal, store and cloud, each of which holds something of it."""
    placement = Placement(metal="lab", store="ceph", cloud="devcloud")
    status = Status(phase=Phase.ACTIVE, placement=placement)
    spec = {**A_MACHINE, "user_data": "x", "sealed_user_data": "eA=="}
    told = a_resource(tenant, Phase.ACTIVE, 1, kind="machine", spec=spec, status=status)
    await neighbours.publish_status(told)
    path = f"/v1/machines/{told.id}"

    async def there() -> bool:
        return (await door.get(path, tenant)).status == 200

    await until(there)
    shown = (await door.get(path, tenant)).json
    assert shown["spec"] == A_MACHINE
    assert shown["status"]["placement"] == {"metal": "lab", "store": "ceph", "cloud": "devcloud"}
    for verb in ("reboot", "stop", "start"):
        answer = await door.post(f"{path}/{verb}", tenant)
        assert answer.status == 202, answer.body
        assert answer.json["status"]["operations"][-1]["verb"] == verb


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"/image", "/flavor"}),
        ({**A_MACHINE, "root_gib": 0}, {"/root_gib"}),
        ({**A_MACHINE, "root_gib": 65537, "flavor": ""}, {"/root_gib", "/flavor"}),
        ({**A_MACHINE, "root_gib": "40"}, {"/root_gib"}),
        ({**A_MACHINE, "size_gib": 40}, {"/size_gib"}),
        ({**A_MACHINE, "ssh_keys": ["nonsense"]}, {"/ssh_keys/0"}),
        ({**A_MACHINE, "user_data": "x" * 49153}, {"/user_data"}),
        ({**A_MACHINE, "sealed_user_data": "eA=="}, {"/sealed_user_data"}),
        ({**A_MACHINE, "arch": "ARM 64"}, {"/arch"}),
        ({**A_MACHINE, "callback_url": "http://127.0.0.1/"}, {"/callback_url"}),
    ],
)
async def test_what_is_wrong_is_named(
    door: Door, tenant: Tenant, body: dict[str, Any], wrong: set[str]
) -> None:
    """Each field, and nothing is recorded."""
    answer = await door.post("/v1/machines", tenant, body)
    assert answer.status == 422, answer.body
    assert {error["pointer"] for error in answer.problem["errors"]} == wrong
    assert (await door.get("/v1/machines", tenant)).json["items"] == []


async def test_its_end_cannot_be_forced(door: Door, tenant: Tenant) -> None:
    """It is switched off before its disk is taken away, so there is nobody to wait for."""
    made = (await door.post("/v1/machines", tenant, A_MACHINE)).json
    path = f"/v1/machines/{made['id']}"
    assert (await door.request("DELETE", f"{path}?force=true", tenant)).status == 400
    assert (await door.request("DELETE", path, tenant)).status == 202


async def test_the_document_says_what_a_machine_takes(door: Door) -> None:
    """Beside what a VM takes; all its verbs are there."""
    document = (await door.request("GET", "/openapi.json")).json
    paths, schemas = document["paths"], document["components"]["schemas"]
    assert {path for path in paths if path.startswith("/v1/machines")} == {
        path.replace("/v1/vms", "/v1/machines") for path in paths if path.startswith("/v1/vms")
    }
    machine, vm = schemas["CreateMachine"]["properties"], schemas["CreateVm"]["properties"]
    assert machine.keys() - vm.keys() == {"root_gib"}
    assert vm.keys() <= machine.keys()
