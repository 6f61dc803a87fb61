"""Volumes, snapshots and attachments: what they refer to, forced deletes, credentials, stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import LogCapture

from shared.contract.codec import Envelope
from shared.contract.identifiers import new_id
from shared.contract.kinds import KINDS
from shared.contract.messages import (
    AttachmentCredentialsIssued,
    GetAttachmentCredentials,
    GetStorageCatalog,
    GetVmCatalog,
    GoldenImage,
    Message,
    StorageCatalogReported,
    StoreCatalog,
    VmCatalogReported,
)
from shared.contract.resources import Phase, Placement, Resource, Status, Verb
from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.secrets import seal
from tests.integration.front_door.harness import (
    Answer,
    Door,
    House,
    Neighbours,
    Tenant,
    a_resource,
    tenants_document,
)
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
IQN = "iqn.2026-03.org.example:ci-1"
ULID = "01jnf6y3z8k2w9q4t7b5r1c0ga"
SECRET = "s3cr3t-chap-1234"
PLACED = Placement(store="ceph")


async def existing(
    door: Door, neighbours: Neighbours, tenant: Tenant, kind: str, phase: Phase, **more: Any
) -> Resource:
    """A resource that the scheduler has told of, and that the front door shows."""
    values = {"spec": {"size_gib": 1}, "revision": 1, **more}
    resource = a_resource(tenant, phase, kind=kind, **values)
    await neighbours.publish_status(resource)

    async def there() -> bool:
        answer = await door.get(f"/v1/{KINDS[kind].plural}/{resource.id}", tenant)
        return answer.status == 200 and bool(answer.json["revision"] == resource.revision)

    await until(there)
    return resource


async def attached(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase = Phase.ACTIVE
) -> Resource:
    """An attachment on a store, in this phase."""
    status = Status(phase=phase, placement=PLACED)
    spec = {"volume": f"volume-{ULID}", "initiator_iqn": IQN}
    return await existing(door, neighbours, tenant, "attachment", phase, spec=spec, status=status)


def pointers(answer: Answer) -> list[str]:
    """What a 422 points to."""
    assert answer.status == 422, answer.body
    return [error["pointer"] for error in answer.problem["errors"]]


async def test_storage_is_asked_for_like_anything_else(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """202, visible at once, and a request under its own routing key; each may name the one before.

    What is referred to need not be ready: the scheduler waits for it.
    """
    volume = await door.post("/v1/volumes", tenant, {"size_gib": 20, "name": "data"})
    about = {"volume": volume.json["id"]}
    snapshot = await door.post("/v1/snapshots", tenant, about)
    copy = await door.post("/v1/volumes", tenant, {"snapshot": snapshot.json["id"]})
    attachment = await door.post("/v1/attachments", tenant, {**about, "initiator_iqn": IQN})
    for answer in (volume, snapshot, copy, attachment):
        assert answer.status == 202, answer.body
        found = await door.get(answer.headers["Location"], tenant)
        assert (found.json, found.json["status"]["phase"]) == (answer.json, "requested")
    deliveries = await neighbours.deliveries(tenant, 4)
    keys = [delivery.routing_key.partition(".")[2] for delivery in deliveries]
    assert keys == ["volume.create", "snapshot.create", "volume.create", "attachment.create"]
    specs = [request.spec for request in await neighbours.requests(tenant, 4)]
    assert specs == [
        {"size_gib": 20},
        about,
        {"snapshot": snapshot.json["id"]},
        {**about, "initiator_iqn": IQN},
    ]


@pytest.mark.parametrize(
    ("plural", "body", "wrong"),
    [
        ("volumes", {}, ["/size_gib", "/image", "/snapshot"]),
        ("volumes", {"image": "a", "snapshot": f"snapshot-{ULID}"}, ["/image", "/snapshot"]),
        ("volumes", {"size_gib": 0, "image": ""}, ["/size_gib", "/image"]),
        ("volumes", {"size_gib": 65537}, ["/size_gib"]),
        ("volumes", {"size_gib": 1, "volume": f"volume-{ULID}"}, ["/volume"]),
        ("volumes", {"snapshot": "snapshot-x"}, ["/snapshot"]),
        ("snapshots", {}, ["/volume"]),
        ("snapshots", {"volume": f"snapshot-{ULID}"}, ["/volume"]),
        ("attachments", {}, ["/volume"]),
        ("attachments", {"volume": f"volume-{ULID}"}, ["/initiator_iqn", "/machine"]),
        (
            "attachments",
            {"volume": f"volume-{ULID}", "initiator_iqn": IQN, "machine": f"machine-{ULID}"},
            ["/initiator_iqn", "/machine"],
        ),
        ("attachments", {"volume": 5, "initiator_iqn": "host-1"}, ["/volume", "/initiator_iqn"]),
    ],
)
async def test_bad_fields_are_named(
    door: Door, tenant: Tenant, plural: str, body: Any, wrong: list[str]
) -> None:
    """Also those that are only bad together: each of them, in the same words."""
    answer = await door.post(f"/v1/{plural}", tenant, body)
    assert pointers(answer) == wrong
    assert all(error["detail"] for error in answer.problem["errors"])


async def test_what_is_referred_to_must_be_there_and_the_tenants_own(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """422 that names the field; another tenant's id is answered as one that never was."""
    theirs = await existing(door, neighbours, other_tenant, "volume", Phase.ACTIVE)
    said = []
    for volume in (new_id("volume"), theirs.id):
        for plural, more in (("attachments", {"initiator_iqn": IQN}), ("snapshots", {})):
            answer = await door.post(f"/v1/{plural}", tenant, {"volume": volume, **more})
            assert pointers(answer) == ["/volume"]
            said.append(answer.problem["errors"])
    assert all(errors == said[0] for errors in said)
    answer = await door.post("/v1/volumes", tenant, {"snapshot": new_id("snapshot")})
    assert pointers(answer) == ["/snapshot"]
    for plural in ("attachments", "snapshots", "volumes"):
        assert (await door.get(f"/v1/{plural}", tenant)).json == {"items": []}


@pytest.mark.parametrize("phase", [Phase.DEPROVISIONING, Phase.DELETED, Phase.FAILED])
async def test_what_has_ended_or_is_about_to_is_not_referred_to(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase
) -> None:
    """422 that names the field and says the phase."""
    volume = await existing(door, neighbours, tenant, "volume", phase)
    answer = await door.post("/v1/snapshots", tenant, {"volume": volume.id})
    assert pointers(answer) == ["/volume"]
    assert answer.problem["errors"][0]["detail"] == f"This volume is {phase}."


async def test_a_repeat_is_answered_although_its_volume_has_ended_since(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The key stands for what was accepted; only a new request needs the volume."""
    volume = await existing(door, neighbours, tenant, "volume", Phase.ACTIVE)
    body = {"volume": volume.id, "initiator_iqn": IQN}
    key = {"Idempotency-Key": "attach"}
    first = await door.post("/v1/attachments", tenant, body, headers=key)
    await existing(
        door, neighbours, tenant, "volume", Phase.DELETED, resource_id=volume.id, revision=2
    )
    again = await door.post("/v1/attachments", tenant, body, headers=key)
    assert (again.status, again.json["id"]) == (202, first.json["id"])
    other_key = {"Idempotency-Key": "another"}
    refused = await door.post("/v1/attachments", tenant, body, headers=other_key)
    assert pointers(refused) == ["/volume"]
    other_body = {**body, "name": "other"}
    reused = await door.post("/v1/attachments", tenant, other_body, headers=key)
    assert (reused.status, reused.problem["reason"]) == (422, "idempotency_key_reused")


async def test_a_request_never_overtakes_the_create_of_what_it_refers_to(
    empty_house: House, tenant: Tenant
) -> None:
    """Where the broker has not confirmed the volume, it is published again first."""
    neighbours = empty_house.neighbours
    async with empty_house.replica(republish_seconds="60") as door:
        key = {"Idempotency-Key": "volume"}
        volume = (await door.post("/v1/volumes", tenant, {"size_gib": 1}, headers=key)).json["id"]
        await empty_house.sql(
            "UPDATE requests SET confirmed_at = NULL, claimed_until = now() WHERE resource_id = $1",
            volume,
        )
        answer = await door.post("/v1/snapshots", tenant, {"volume": volume})
        assert answer.status == 202, answer.body
        deliveries = await neighbours.deliveries(tenant, 3)
        asked = [(one.envelope.subject, one.repeated) for one in deliveries]
        assert asked == [(volume, False), (volume, True), (answer.json["id"], False)]


async def test_an_attachment_can_be_deleted_by_force(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The scheduler is told; without it, and with ``false``, the initiator is waited for."""
    attachment = await attached(door, neighbours, tenant)
    path = f"/v1/attachments/{attachment.id}"
    for query in ("", "?force=false", "?force=true"):
        assert (await door.request("DELETE", f"{path}{query}", tenant)).status == 202
    requests = await neighbours.requests(tenant, 3)
    assert [(one.verb, one.force) for one in requests] == [
        (Verb.DELETE, False),
        (Verb.DELETE, False),
        (Verb.DELETE, True),
    ]


async def test_a_key_does_not_stand_for_both_a_forced_delete_and_another(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The force would else be lost without a word."""
    attachment = await attached(door, neighbours, tenant)
    path, key = f"/v1/attachments/{attachment.id}", {"Idempotency-Key": "detach"}
    assert (await door.request("DELETE", path, tenant, headers=key)).status == 202
    forced = await door.request("DELETE", f"{path}?force=true", tenant, headers=key)
    assert (forced.status, forced.problem["reason"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("attachment", "force=yes"),
        ("attachment", "force="),
        ("attachment", "force=true&force=true"),
        ("volume", "force=true"),
        ("snapshot", "force=true"),
        ("vm", "force=false"),
    ],
)
async def test_force_is_a_parameter_of_attachments_alone(
    door: Door, neighbours: Neighbours, tenant: Tenant, kind: str, query: str
) -> None:
    """400 elsewhere, and for what is neither true nor false."""
    resource = await existing(door, neighbours, tenant, kind, Phase.ACTIVE)
    path = f"/v1/{KINDS[kind].plural}/{resource.id}"
    answer = await door.request("DELETE", f"{path}?{query}", tenant)
    assert (answer.status, answer.problem["errors"][0]["parameter"]) == (400, "force")


def issued(query: GetAttachmentCredentials, secret: str = SECRET) -> AttachmentCredentialsIssued:
    """What the iscsi_worker answers."""
    return AttachmentCredentialsIssued(
        target_iqn=f"iqn.2026-03.org.colobus:{query.attachment}",
        lun=1,
        portals=("203.0.113.10:3260",),
        initiator_iqn=query.initiator_iqn or f"{query.machine}.initiator",
        chap_username="colobus-1",
        sealed_secret=seal(query.public_key, secret.encode()),
    )


@contextmanager
def everything_logged() -> Iterator[LogCapture]:
    """Catch every line that is logged meanwhile, of any level."""
    before, capture = structlog.get_config(), LogCapture()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(0),
        processors=[structlog.contextvars.merge_contextvars, capture],
    )
    try:
        yield capture
    finally:
        structlog.configure(**before)


async def test_credentials_are_opened_for_their_owner_and_written_nowhere(
    door: Door, house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The secret crosses the bus sealed to a key of this request; no cache and no log keeps it."""
    asked: list[tuple[Envelope, GetAttachmentCredentials]] = []

    def issue(envelope: Envelope, query: GetAttachmentCredentials) -> Message:
        asked.append((envelope, query))
        return issued(query)

    neighbours.answers[GetAttachmentCredentials] = issue
    attachment = await attached(door, neighbours, tenant)
    with everything_logged() as log:
        answers = [
            await door.get(f"/v1/attachments/{attachment.id}/credentials", tenant) for _ in range(2)
        ]
    for answer in answers:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        assert answer.json == {
            "target_iqn": f"iqn.2026-03.org.colobus:{attachment.id}",
            "lun": 1,
            "portals": ["203.0.113.10:3260"],
            "initiator_iqn": IQN,
            "chap_username": "colobus-1",
            "chap_secret": SECRET,
        }
    (envelope, query), (_, again) = asked
    assert (envelope.tenant, envelope.subject) == (tenant.name, attachment.id)
    assert (query.store, query.attachment) == ("ceph", attachment.id)
    assert (query.volume, query.initiator_iqn) == (f"volume-{ULID}", IQN)
    assert query.public_key != again.public_key
    assert any(entry["event"] == "answered" for entry in log.entries)
    assert SECRET not in str(log.entries)


async def test_credentials_are_for_members_of_the_owner_alone(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """A reader is refused, anybody else finds nothing; the worker isn't even asked."""
    neighbours.answers.pop(GetAttachmentCredentials, None)
    attachment = await attached(door, neighbours, tenant)
    path = f"/v1/attachments/{attachment.id}/credentials"
    assert (await door.get(path, tenant.reader)).problem["reason"] == "forbidden"
    assert (await door.get(path, other_tenant)).problem["reason"] == "not_found"
    assert (await door.request("GET", path)).status == 401
    unknown = f"/v1/attachments/{new_id('attachment')}/credentials"
    assert (await door.get(unknown, tenant)).status == 404


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ACTIVE])
async def test_what_is_not_active_has_no_credentials(
    door: Door, neighbours: Neighbours, tenant: Tenant, phase: Phase
) -> None:
    """409: there is nothing to log in to, not yet or not any more."""
    neighbours.answers.pop(GetAttachmentCredentials, None)
    attachment = await attached(door, neighbours, tenant, phase)
    answer = await door.get(f"/v1/attachments/{attachment.id}/credentials", tenant)
    assert (answer.status, answer.problem["reason"]) == (409, "wrong_phase")
    assert phase in answer.problem["detail"]


async def test_without_readable_credentials_the_answer_is_503(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """The worker's own problem is passed on; a box that can't be opened is a problem too."""
    attachment = await attached(door, neighbours, tenant)
    path = f"/v1/attachments/{attachment.id}/credentials"

    def gone(_: Envelope, __: GetAttachmentCredentials) -> Message:
        raise PermanentError("the gateway has no such target", reason="not_found", status=404)

    def damaged(_: Envelope, query: GetAttachmentCredentials) -> Message:
        return issued(GetAttachmentCredentials(**{**_fields(query), "public_key": OTHER_KEY}))

    neighbours.answers[GetAttachmentCredentials] = gone
    answer = await door.get(path, tenant)
    assert (answer.status, answer.problem["detail"]) == (404, "the gateway has no such target")
    neighbours.answers[GetAttachmentCredentials] = damaged
    answer = await door.get(path, tenant)
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)


OTHER_KEY = "jnFgbIxnbJlqMTCMFYyMTXDBf1aFuo6ITGeKBeWjDW4="


def _fields(query: GetAttachmentCredentials) -> dict[str, Any]:
    return {name: getattr(query, name) for name in query.__struct_fields__}


STORES = StorageCatalogReported(
    stores=(StoreCatalog(store="ceph", images=(GoldenImage(name="debian-12", size_gib=3),)),)
)


@asynccontextmanager
async def mute(neighbours: Neighbours, query: type[Message]) -> AsyncIterator[None]:
    """Let nobody answer this query meanwhile."""
    before, over = neighbours.answers.get(query), asyncio.Event()

    async def never(_: Envelope, __: Message) -> Message:
        await over.wait()
        raise TemporaryError("too late")

    neighbours.answers[query] = never
    try:
        yield
    finally:
        over.set()
        if before is not None:
            neighbours.answers[query] = before


async def test_the_catalog_has_what_clouds_and_stores_offer(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Two workers are asked, and their problems are told together."""
    neighbours.answers |= {
        GetVmCatalog: lambda *_: VmCatalogReported(clouds=()),
        GetStorageCatalog: lambda *_: STORES,
    }
    catalog = (await door.get("/v1/catalog", tenant.reader)).json
    assert catalog["stores"] == [
        {"store": "ceph", "images": [{"name": "debian-12", "size_gib": 3}]}
    ]
    assert "problems" not in catalog


async def test_a_silent_worker_is_a_problem_of_the_catalog_and_not_its_end(
    house: House, neighbours: Neighbours, tenant: Tenant
) -> None:
    """What the others offer is shown; only when nobody answers, neither does the catalog."""
    neighbours.answers |= {
        GetVmCatalog: lambda *_: VmCatalogReported(clouds=()),
        GetStorageCatalog: lambda *_: STORES,
    }
    async with house.replica(query_seconds="0.3") as door:
        async with mute(neighbours, GetVmCatalog):
            catalog = (await door.get("/v1/catalog", tenant)).json
            assert (len(catalog["stores"]), catalog["clouds"]) == (1, [])
            (problem,) = catalog["problems"]
            assert (problem["retryable"], "vm_worker" in problem["detail"]) == (True, True)
            async with mute(neighbours, GetStorageCatalog):
                answer = await door.get("/v1/catalog", tenant)
                assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        async with mute(neighbours, GetStorageCatalog):
            catalog = (await door.get("/v1/catalog", tenant)).json
            assert ("stores" in catalog, catalog["clouds"]) == (False, [])
            assert "iscsi_worker" in catalog["problems"][0]["detail"]


async def test_where_there_are_no_stores_nobody_is_asked_for_them(
    house: House, neighbours: Neighbours, tenant: Tenant, tmp_path: Path
) -> None:
    """Such an installation has no iscsi_worker; vm_worker's silence is then that of all."""
    tenants_file = tmp_path / "tenants.yaml"
    tenants_file.write_text(tenants_document(300)[0])
    neighbours.answers[GetVmCatalog] = lambda *_: VmCatalogReported(clouds=())
    settings = {"tenants_file": str(tenants_file), "query_seconds": "0.5"}
    async with house.replica(**settings) as door, mute(neighbours, GetStorageCatalog):
        catalog = (await door.get("/v1/catalog", tenant)).json
        assert ("stores" in catalog, "problems" in catalog) == (False, False)
        async with mute(neighbours, GetVmCatalog):
            assert (await door.get("/v1/catalog", tenant)).status == 503


async def test_a_volume_grows(door: Door, neighbours: Neighbours, tenant: Tenant) -> None:
    """202 with the operation; the request names it and the size; repeated, it is the same one."""
    status = Status(phase=Phase.ACTIVE, placement=PLACED, outputs={"size_bytes": 2 << 30})
    volume = await existing(
        door, neighbours, tenant, "volume", Phase.ACTIVE, spec={"size_gib": 2}, status=status
    )
    path, key = f"/v1/volumes/{volume.id}", {"Idempotency-Key": "grow"}
    body = {"size_gib": 5, "labels": {"a": "b"}}
    answers = [await door.request("PATCH", path, tenant, json=body, headers=key) for _ in range(2)]
    for answer in answers:
        assert answer.status == 202, answer.body
        (operation,) = answer.json["status"]["operations"]
        assert (operation["verb"], operation["state"]) == ("update", "requested")
        assert operation["size_gib"] == 5
        assert answer.json["spec"] == {"size_gib": 2}
    (request,) = await neighbours.requests(tenant, 1)
    assert (request.verb, request.labels) == (Verb.UPDATE, {"a": "b"})
    assert (request.spec, request.operation_id) == ({"size_gib": 5}, operation["id"])
    grown = msgspec.structs.replace(status, outputs={"size_bytes": 9 << 30})
    await existing(
        door,
        neighbours,
        tenant,
        "volume",
        Phase.ACTIVE,
        resource_id=volume.id,
        revision=2,
        spec={"size_gib": 9},
        status=grown,
    )
    again = await door.request("PATCH", path, tenant, json=body, headers=key)
    assert (again.status, len(again.json["status"]["operations"])) == (202, 1)
    refused = await door.request("PATCH", path, tenant, json={"size_gib": 8})
    assert pointers(refused) == ["/size_gib"]
    (error,) = refused.problem["errors"]
    assert error["detail"] == "A volume only grows: at least 9 is expected."


@pytest.mark.parametrize(
    ("kind", "body", "wrong"),
    [
        ("volume", {"size_gib": 0}, ["/size_gib"]),
        ("volume", {"size_gib": "20"}, ["/size_gib"]),
        ("volume", {}, [""]),
        ("volume", {"size_gib": None}, [""]),
        ("snapshot", {"size_gib": 20}, ["/size_gib"]),
        ("attachment", {"size_gib": 20}, ["/size_gib"]),
        ("vm", {"size_gib": 20}, ["/size_gib"]),
        ("machine", {"size_gib": 20, "root_gib": 20}, ["/size_gib", "/root_gib"]),
    ],
)
async def test_only_volumes_grow(
    door: Door, tenant: Tenant, kind: str, body: dict[str, Any], wrong: list[str]
) -> None:
    """Other kinds know no such field."""
    path = f"/v1/{KINDS[kind].plural}/{new_id(kind)}"
    assert pointers(await door.request("PATCH", path, tenant, json=body)) == wrong


async def test_what_has_ended_does_not_grow(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """409, as for every verb, however large it was."""
    volume = await existing(door, neighbours, tenant, "volume", Phase.FAILED)
    for size in (1, 5):
        path = f"/v1/volumes/{volume.id}"
        answer = await door.request("PATCH", path, tenant, json={"size_gib": size})
        assert (answer.status, answer.problem["reason"]) == (409, "wrong_phase")


async def test_a_volume_is_offered_to_a_machine(
    door: Door, neighbours: Neighbours, tenant: Tenant, other_tenant: Tenant
) -> None:
    """To one's own; the worker is asked by the machine's id for what it logs in with."""
    volume = await existing(door, neighbours, tenant, "volume", Phase.ACTIVE)
    machine = await existing(door, neighbours, tenant, "machine", Phase.ACTIVE, spec={})
    foreign = await existing(door, neighbours, other_tenant, "machine", Phase.ACTIVE, spec={})
    ended = await existing(door, neighbours, tenant, "machine", Phase.DELETED, spec={})
    for other in (foreign.id, ended.id, f"machine-{ULID}"):
        body = {"volume": volume.id, "machine": other}
        assert pointers(await door.post("/v1/attachments", tenant, body)) == ["/machine"]
    spec = {"volume": volume.id, "machine": machine.id}
    answer = await door.post("/v1/attachments", tenant, spec)
    assert (answer.status, answer.json["spec"]) == (202, spec)
    status = Status(phase=Phase.ACTIVE, placement=PLACED)
    active = await existing(
        door, neighbours, tenant, "attachment", Phase.ACTIVE, spec=spec, status=status
    )
    asked: list[GetAttachmentCredentials] = []

    def issue(_: Envelope, query: GetAttachmentCredentials) -> Message:
        asked.append(query)
        return issued(query)

    neighbours.answers[GetAttachmentCredentials] = issue
    told = await door.get(f"/v1/attachments/{active.id}/credentials", tenant)
    assert told.json["initiator_iqn"] == f"{machine.id}.initiator"
    assert [(one.machine, one.initiator_iqn) for one in asked] == [(machine.id, None)]
