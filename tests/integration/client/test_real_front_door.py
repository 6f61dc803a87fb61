"""The client against the real front door, on the real broker and database.

Scheduler and workers are played by the test, so that it decides when a VM goes on.
"""

# ruff: noqa: F811 - a fixture that is imported has the name of a parameter

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from colobus import (
    ApiError,
    Client,
    CreateAttachment,
    CreateSnapshot,
    CreateVm,
    CreateVolume,
    LeaseRequest,
    NewWebhook,
    NotFound,
    Phase,
)
from colobus.models import Resource
from colobus.watching import _polled
from shared.contract import messages
from shared.contract.codec import Envelope
from shared.contract.messages import Message
from shared.contract.resources import Phase as ServerPhase
from shared.contract.resources import Placement as ServerPlacement
from shared.contract.resources import Status as ServerStatus
from shared.contract.resources import Verb
from shared.runtime.secrets import seal
from tests.integration.front_door.conftest import house  # noqa: F401 - a fixture
from tests.integration.front_door.harness import House, Tenant, a_resource

pytestmark = pytest.mark.asyncio(loop_scope="session")
A_VM = CreateVm(
    image="debian-12", flavor="small", labels={"job": "7"}, lease=LeaseRequest(ttl=60), deadline=9
)
NOW = datetime.now(UTC)


@pytest.fixture
def tenant(house: House) -> Tenant:
    """A tenant of this test's own."""
    return house.tenant()


@pytest_asyncio.fixture(loop_scope="session")
async def client(house: House, tenant: Tenant) -> AsyncIterator[Client]:
    """A client of a front door of this test's own."""
    async with house.replica() as replica, Client(replica.url, token=tenant.member) as made:
        yield made


async def goes_on(house: House, tenant: Tenant, vm_id: str, *phases: ServerPhase) -> None:
    """Let a VM go through these phases, as the scheduler would tell."""
    for revision, phase in enumerate(phases, start=1):
        await house.neighbours.publish_status(a_resource(tenant, phase, revision, vm_id))


async def test_a_vm_is_made_waited_for_and_deleted(
    client: Client,
    house: House,
    tenant: Tenant,
) -> None:
    """The way of nearly every user."""
    vm = await client.create_vm(A_VM)
    assert (vm.status.phase, vm.labels, vm.spec["image"]) == (
        Phase.REQUESTED,
        {"job": "7"},
        "debian-12",
    )
    waiting = asyncio.create_task(client.wait(vm.id))
    await goes_on(house, tenant, vm.id, ServerPhase.PROVISIONING, ServerPhase.ACTIVE)
    assert (await waiting).revision == 2
    asked = await client.delete(vm.id)
    assert asked is not None
    assert asked.id == vm.id
    deletes = await house.neighbours.requests(tenant, 2)
    assert [request.verb for request in deletes] == [Verb.CREATE, Verb.DELETE]
    waiting = asyncio.create_task(client.wait(vm.id, until=Phase.DELETED))
    await house.neighbours.publish_status(a_resource(tenant, ServerPhase.DELETED, 3, vm.id))
    assert (await waiting).revision == 3
    assert [event.revision async for event in client.timeline(vm.id)] == [1, 2, 3]
    assert [event.revision async for event in client.events(vm.id)] == [1, 2, 3]


async def test_waiting_outlives_a_restart_of_the_front_door(
    house: House,
    tenant: Tenant,
) -> None:
    """The stream ends with one process and goes on with the next, and nothing is missed."""
    async with house.replica() as first:
        port = str(first.service.port)  # type: ignore[attr-defined]
        client = Client(first.url, token=tenant.member)
        vm = await client.create_vm(A_VM)
        stream = client.watch(vm.id)
        assert (await anext(stream)).id == vm.id
        await house.neighbours.publish_status(
            a_resource(tenant, ServerPhase.PROVISIONING, 1, vm.id)
        )
        assert (await anext(stream)).revision == 1
    async with house.replica(http_port=port), client, aclosing(stream):
        await house.neighbours.publish_status(a_resource(tenant, ServerPhase.ACTIVE, 2, vm.id))
        assert (await anext(stream)).revision == 2


async def test_long_polls_see_each_change(client: Client, house: House, tenant: Tenant) -> None:
    """What the client falls back to where streams don't get through."""
    vm = await client.create_vm(A_VM)
    async with aclosing(_polled(client._transport, f"/v1/vms/{vm.id}")) as polls:
        assert (await anext(polls)).status.phase is Phase.REQUESTED
        await goes_on(house, tenant, vm.id, ServerPhase.PROVISIONING)
        assert (await anext(polls)).status.phase is Phase.PROVISIONING


async def test_a_list_is_filtered_and_goes_through_all_pages(client: Client) -> None:
    """Pages are smaller than what there is."""
    made = {(await client.create_vm(A_VM)).id for _ in range(3)}
    await client.create_vm(CreateVm(image="debian-12", flavor="small", labels={"job": "8"}))

    async def listed(kind: str | None) -> list[Resource]:
        found = client.list(kind, phases=[Phase.REQUESTED], labels={"job": "7"}, page_size=2)
        return [resource async for resource in found]

    assert {vm.id for vm in await listed("vm")} == made
    assert {vm.id for vm in await listed(None)} == made


async def test_every_verb_is_requested(client: Client, house: House, tenant: Tenant) -> None:
    """Lease, labels and power each become a request of their own."""
    vm = await client.create_vm(A_VM)
    await client.extend(vm.id, 120)
    await client.update(vm.id, labels={"a": "b"})
    await client.update(vm.id, lease_ttl=30)
    rebooted = await client.reboot(vm.id)
    await client.stop(vm.id)
    await client.start(vm.id)
    assert [operation.verb for operation in rebooted.status.operations] == ["reboot"]
    requests = await house.neighbours.requests(tenant, 7)
    assert [(r.verb, r.lease_ttl, r.labels) for r in requests[1:]] == [
        (Verb.EXTEND, 120, None),
        (Verb.UPDATE, None, {"a": "b"}),
        (Verb.UPDATE, 30, None),
        (Verb.REBOOT, None, None),
        (Verb.STOP, None, None),
        (Verb.START, None, None),
    ]


async def test_a_volume_is_offered_and_its_initiator_told_how_to_log_in(
    client: Client, house: House, tenant: Tenant
) -> None:
    """From the volume to the credentials, and back by force."""
    volume = await client.create_volume(CreateVolume(size_gib=20))
    snapshot = await client.create_snapshot(CreateSnapshot(volume=volume.id))
    copy = await client.create(CreateVolume(snapshot=snapshot.id, name="copy"))
    body = CreateAttachment(volume=copy.id, initiator_iqn="iqn.2026-03.org.example:ci-1")
    attachment = await client.create_attachment(body, idempotency_key="attach")
    assert (await client.create_attachment(body, idempotency_key="attach")).id == attachment.id
    with pytest.raises(ApiError) as early:
        await client.credentials(attachment.id)
    assert (early.value.status, early.value.problem.reason) == (409, "wrong_phase")

    def issued(_: Envelope, query: Message) -> Message:
        assert isinstance(query, messages.GetAttachmentCredentials)
        return messages.AttachmentCredentialsIssued(
            target_iqn="iqn.2026-03.org.colobus:t",
            lun=1,
            portals=("203.0.113.10:3260",),
            initiator_iqn=query.initiator_iqn or f"{query.machine}.initiator",
            chap_username="colobus-1",
            sealed_secret=seal(query.public_key, b"s3cr3t"),
        )

    house.neighbours.answers[messages.GetAttachmentCredentials] = issued
    status = ServerStatus(phase=ServerPhase.ACTIVE, placement=ServerPlacement(store="ceph"))
    active = a_resource(
        tenant,
        ServerPhase.ACTIVE,
        1,
        attachment.id,
        kind="attachment",
        spec=attachment.spec,
        status=status,
    )
    await house.neighbours.publish_status(active)
    assert (await client.wait(attachment.id)).status.phase is Phase.ACTIVE
    found = await client.credentials(attachment.id)
    assert (found.chap_secret, found.initiator_iqn) == ("s3cr3t", body.initiator_iqn)
    await client.delete(attachment.id, force=True)
    requests = await house.neighbours.requests(tenant, 5)
    assert [request.kind for request in requests[:3]] == ["volume", "snapshot", "volume"]
    assert [(one.verb, one.force) for one in requests[3:]] == [
        (Verb.CREATE, False),
        (Verb.DELETE, True),
    ]


async def test_what_a_body_refers_to_is_named_when_it_is_not_there(client: Client) -> None:
    """The pointer comes out of the exception."""
    with pytest.raises(ApiError) as caught:
        await client.create_snapshot(CreateSnapshot(volume="volume-01jdzq6v7n0000000000000000"))
    assert [error.pointer for error in caught.value.problem.errors] == ["/volume"]


async def test_the_same_key_makes_one_vm(client: Client) -> None:
    """Also when both are under way at once; with another body it is refused."""
    first, second = await asyncio.gather(
        *(client.create_vm(A_VM, idempotency_key="job-7") for _ in range(2))
    )
    assert first.id == second.id
    with pytest.raises(ApiError) as caught:
        await client.create_vm(CreateVm(image="other", flavor="small"), idempotency_key="job-7")
    assert caught.value.status == 422


async def test_bad_fields_are_named(client: Client) -> None:
    """The problem's pointers come out of the exception."""
    with pytest.raises(ApiError) as caught:
        await client.create_vm(CreateVm(image="", flavor="small", deadline=-1))
    pointers = {error.pointer for error in caught.value.problem.errors}
    assert pointers == {"/image", "/deadline"}


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    """Whatever the id looks like."""
    for wrong in ("vm-01jdzq6v7n0000000000000000", "vm-x", "x", "../quota"):
        with pytest.raises(NotFound):
            await client.get(wrong)


async def test_quota_capacity_and_catalog_are_read(client: Client, house: House) -> None:
    """What their owners answer arrives typed."""
    flavor = messages.VmFlavor(name="small", vcpus=1, ram_mib=512, disk_gib=1)
    cloud = messages.CloudCatalog(
        cloud="lab", images=("debian",), flavors=(flavor,), networks=(), security_groups=()
    )
    image = messages.GoldenImage(name="debian-12", size_gib=3)
    store = messages.StoreCatalog(store="ceph", images=(image,))
    capacity = messages.CloudCapacity(cloud="lab", building=1, limit=9, recent_failures=0)
    house.neighbours.answers |= {
        messages.GetQuota: lambda *_: messages.QuotaReported(
            limits={"vms": 2}, used={"vms": 1}, waiting=0
        ),
        messages.GetCapacity: lambda *_: messages.CapacityReported(clouds=(capacity,), waiting=3),
        messages.GetVmCatalog: lambda *_: messages.VmCatalogReported(clouds=(cloud,)),
        messages.GetStorageCatalog: lambda *_: messages.StorageCatalogReported(stores=(store,)),
    }
    assert (await client.quota()).limits == {"vms": 2}
    assert (await client.capacity()).clouds[0].limit == 9
    catalog = await client.catalog()
    assert catalog.clouds[0].flavors[0].ram_mib == 512
    assert catalog.stores[0].images[0].size_gib == 3
    assert "attachment" in {kind.name for kind in catalog.kinds}


async def test_webhooks_are_managed(client: Client, house: House) -> None:
    """Secrets come out in the clear for their owner, and only for the owner."""
    hook = messages.Webhook(id="wh-1", url="https://8.8.8.8/hook", created_at=NOW)
    delivery = messages.WebhookDelivery(
        id="d1", webhook_id="wh-1", resource_id="vm-1", sequence=1, state="failed", created_at=NOW
    )

    def made(_: Envelope, query: Message) -> Message:
        assert isinstance(query, messages.CreateWebhook)
        sealed = seal(query.reply_public_key or "", b"whsec_new")
        return messages.Webhook(
            id=query.webhook_id, url=query.url, created_at=NOW, sealed_secret=sealed
        )

    def issued(_: Envelope, query: Message) -> Message:
        assert isinstance(query, messages.GetCallbackSecret)
        return messages.CallbackSecretIssued(
            sealed_secret=seal(query.reply_public_key, b"whsec_callback")
        )

    house.neighbours.answers |= {
        messages.CreateWebhook: made,
        messages.GetCallbackSecret: issued,
        messages.GetWebhook: lambda *_: hook,
        messages.ListWebhooks: lambda *_: messages.WebhooksListed(webhooks=(hook,)),
        messages.DeleteWebhook: lambda *_: messages.WebhookDeleted(webhook_id="wh-1"),
        messages.ListWebhookDeliveries: lambda *_: messages.WebhookDeliveriesListed(
            deliveries=(delivery,)
        ),
        messages.RedeliverWebhook: lambda *_: messages.WebhookRedeliveryQueued(count=2),
    }
    new = await client.webhooks.create(NewWebhook(url="https://8.8.8.8/hook"), idempotency_key="k")
    again = await client.webhooks.create(
        NewWebhook(url="https://8.8.8.8/hook"), idempotency_key="k"
    )
    assert (new.secret, new.webhook.sealed_secret) == ("whsec_new", None)
    assert new.webhook.id == again.webhook.id
    assert await client.webhooks.callback_secret() == "whsec_callback"
    assert [found.id async for found in client.webhooks.list()] == ["wh-1"]
    assert (await client.webhooks.get("wh-1")).url == hook.url
    assert [found.state async for found in client.webhooks.deliveries("wh-1")] == ["failed"]
    assert await client.webhooks.redeliver("wh-1") == 2
    await client.webhooks.delete("wh-1")
