"""Volumes from POST to iSCSI and back to nothing, on the real Ceph and a real tgtd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from colobus.client import Client
from colobus.errors import ApiError
from colobus.models import (
    AttachmentCredentials,
    CreateAttachment,
    CreateSnapshot,
    CreateVolume,
    Phase,
    Reason,
    Resource,
)
from devcloud.api import open_devcloud
from tests.integration.iscsi_worker.initiators import Login, logged_in
from tests.integration.iscsi_worker.world import GIB, INITIATOR, OTHER_INITIATOR, World, make_world
from tests.support import devcloud, initiator
from tests.support.conditions import eventually
from tests.support.installation import SERVICES, Installation, installation
from tests.support.waiting import waited
from tests.support.webhooks import Receiver

STORE = "rack"
QUOTAS = {
    "bigtop": {"volumes": 20, "volume_gib": 60, "attachments": 8},
    "openlab": {"volumes": 2, "volume_gib": 4},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pool as an administrator sees it, and a tgtd of these tests' own."""
    environment = devcloud.up("ceph", "tgt")
    initiator.install(open_devcloud().site)
    with make_world(environment, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="module")
def storing(
    environment: dict[str, str], world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services with a store; the worker's marks are those of `world`."""
    folder = tmp_path_factory.mktemp("storing")
    (access,) = world.stores().values()
    with installation(environment, folder, QUOTAS, stores={STORE: access}) as made:
        world.installation = made.name
        made.start(*SERVICES, "iscsi_worker")
        yield made


@pytest.fixture
async def client(storing: Installation) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(storing.url, token=storing.tokens["bigtop"]) as made:
        yield made


async def _active(client: Client, request: CreateVolume | CreateAttachment) -> Resource:
    made = await client.create(request)
    return await client.wait(made.id, timeout=120)


async def _gone(client: Client, *ids: str) -> None:
    for one in ids:
        await client.delete(one)
    for one in ids:
        await waited(client, one, Phase.DELETED, timeout=120)


def _login(told: AttachmentCredentials) -> Login:
    return Login(
        portal=told.portals[0],
        target=told.target_iqn,
        lun=told.lun,
        initiator=told.initiator_iqn,
        username=told.chap_username,
        secret=told.chap_secret,
    )


@pytest.mark.timeout(600)
async def test_a_volume_from_post_to_iscsi_and_back(
    client: Client, world: World, receiver: Receiver
) -> None:
    """A copy of a golden image: written through iSCSI, read from Ceph, attached elsewhere, gone."""
    golden = world.make_golden(GIB, b"g" * 4096)
    request = CreateVolume(image=golden, callback_url=receiver.url("/volume"))
    volume = await _active(client, request)
    assert volume.status.outputs["size_bytes"] == GIB
    assert volume.status.placement is not None
    assert volume.status.placement.store == STORE
    first = await _active(client, CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR))
    login = _login(await client.credentials(first.id))
    await asyncio.to_thread(login.write, b"w" * 8192, at=8192)
    (image,) = world.images()
    assert world.content(image, 4096) == b"g" * 4096
    assert world.content(image, 8192, at=8192) == b"w" * 8192
    assert await asyncio.to_thread(login.but(secret="x" * 16).refusal)
    assert await asyncio.to_thread(login.but(initiator=OTHER_INITIATOR).refusal)
    await _gone(client, first.id)
    second = await _active(
        client, CreateAttachment(volume=volume.id, initiator_iqn=OTHER_INITIATOR)
    )
    other = _login(await client.credentials(second.id))
    assert await asyncio.to_thread(other.reads, b"w" * 8192, at=8192)
    assert await asyncio.to_thread(login.refusal), "a former holder's login"
    await _gone(client, second.id, volume.id)
    assert world.images() == []
    assert "Target" not in world.tgtd.targets()
    await receiver.until(lambda: any(r.phase == "deleted" for r in receiver.at("/volume")))


@pytest.mark.timeout(600)
async def test_a_volume_and_all_that_is_made_of_it_in_one_breath(
    client: Client, world: World
) -> None:
    """Who names a volume that is being made waits for it; a copy of a snapshot is a volume too."""
    volume = await client.create(CreateVolume(size_gib=1))
    snapshot = await client.create(CreateSnapshot(volume=volume.id))
    copy = await client.create(CreateVolume(snapshot=snapshot.id, size_gib=2))
    made = [await client.wait(one.id, timeout=120) for one in (volume, snapshot, copy)]
    assert [one.status.phase for one in made] == [Phase.ACTIVE] * 3
    assert made[2].status.outputs["size_bytes"] == 2 * GIB
    await _gone(client, copy.id, snapshot.id, volume.id)
    assert world.images() == []


@pytest.mark.timeout(600)
async def test_a_volume_grows_while_it_is_attached(client: Client, world: World) -> None:
    """What was written is there; the initiator sees the rest when it next logs in."""
    volume = await _active(client, CreateVolume(size_gib=1))
    attachment = await _active(client, CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR))
    assert attachment.status.outputs["initiator_iqn"] == INITIATOR
    login = _login(await client.credentials(attachment.id))
    await asyncio.to_thread(login.write, b"o" * 4096)
    assert await asyncio.to_thread(login.size) == GIB
    used = (await client.quota()).used["volume_gib"]
    asked = await client.grow(volume.id, 3)
    assert asked.status.operations[-1].size_gib == 3
    grown = await _grown(client, asked)
    assert (grown.status.phase, grown.spec["size_gib"]) == (Phase.ACTIVE, 3)
    assert grown.status.outputs["size_bytes"] == 3 * GIB
    assert (await client.quota()).used["volume_gib"] == used + 2
    assert await asyncio.to_thread(login.size) == 3 * GIB
    await asyncio.to_thread(login.write, b"n" * 4096, at=3 * GIB - 4096)
    assert await asyncio.to_thread(login.reads, b"o" * 4096)
    snapshot = await client.create(CreateSnapshot(volume=volume.id))
    taken = await client.wait(snapshot.id, timeout=120)
    assert taken.status.outputs["size_bytes"] == 3 * GIB
    with pytest.raises(ApiError, match="at least 3"):
        await client.grow(volume.id, 2)
    asked = await client.grow(volume.id, 1000)
    refused = (await _grown(client, asked)).status.operations[-1]
    assert refused.error is not None
    assert refused.error.reason == Reason.QUOTA_EXCEEDED
    assert (await client.quota()).used["volume_gib"] == used + 2
    await _gone(client, attachment.id, snapshot.id, volume.id)
    assert world.images() == []


async def _grown(client: Client, asked: Resource) -> Resource:
    """The volume, when what was asked last has ended."""
    wanted = asked.status.operations[-1].id

    async def ended() -> bool:
        operations = (await client.get(asked.id)).status.operations
        return any(one.id == wanted and one.finished_at is not None for one in operations)

    await eventually(ended, within=60, what=f"{wanted} has ended")
    return await client.get(asked.id)


@pytest.mark.timeout(600)
async def test_what_is_in_use_goes_when_its_holder_lets_go(client: Client, world: World) -> None:
    """The volume waits for its attachment, that for its initiator; each says for whom."""
    volume = await _active(client, CreateVolume(size_gib=1))
    attachment = await _active(client, CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR))
    login = _login(await client.credentials(attachment.id))
    with logged_in(login) as session:
        await client.delete(volume.id)
        await _because(client, volume.id, Reason.IN_USE, attachment.id)
        await client.delete(attachment.id)
        await _because(client, attachment.id, Reason.INITIATOR_LOGGED_IN, INITIATOR)
        assert await asyncio.to_thread(session.write, 7, at=4096), "it is not pulled"
        await asyncio.to_thread(session.log_out)
    for one in (attachment.id, volume.id):
        await waited(client, one, Phase.DELETED, timeout=120)
    assert world.images() == []


async def _because(client: Client, resource_id: str, reason: Reason, words: str) -> None:
    async def says() -> bool:
        status = (await client.get(resource_id)).status
        return status.reason == reason and words in (status.message or "")

    await eventually(says, within=60, what=f"{resource_id} waits: {reason} ({words})")


@pytest.mark.timeout(600)
async def test_force_pulls(client: Client, world: World) -> None:
    """Whoever asks for it so doesn't wait for the initiator."""
    volume = await _active(client, CreateVolume(size_gib=1))
    attachment = await _active(client, CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR))
    with logged_in(_login(await client.credentials(attachment.id))):
        await client.delete(attachment.id)
        await _because(client, attachment.id, Reason.INITIATOR_LOGGED_IN, INITIATOR)
        await client.delete(attachment.id, force=True)
        await waited(client, attachment.id, Phase.DELETED, timeout=120)
    await _gone(client, volume.id)


@pytest.mark.timeout(600)
async def test_a_gateway_that_was_killed_offers_all_again(client: Client, world: World) -> None:
    """Tgtd forgets its targets; the attachments stay active and are offered again by themselves."""
    volume = await _active(client, CreateVolume(size_gib=1))
    attachment = await _active(client, CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR))
    login = _login(await client.credentials(attachment.id))
    await asyncio.to_thread(login.write, b"k" * 4096)
    await asyncio.to_thread(world.tgtd.kill)
    await asyncio.to_thread(world.tgtd.start)

    async def offered() -> bool:
        return not await asyncio.to_thread(login.refusal)

    await eventually(offered, within=120, what="the target is offered again")
    assert await asyncio.to_thread(login.reads, b"k" * 4096)
    assert (await client.get(attachment.id)).status.phase is Phase.ACTIVE
    await _gone(client, attachment.id, volume.id)


@pytest.mark.timeout(600)
async def test_killed_in_mid_burst_each_volume_is_made_once(
    storing: Installation, client: Client, world: World
) -> None:
    """Twelve at once; scheduler and worker die in the middle: one image each, then none."""
    asked = await asyncio.gather(*(client.create(CreateVolume(size_gib=1)) for _ in range(12)))
    for process in ("iscsi_worker", "scheduler"):
        storing.kill(process)
        storing.spawn(process)
    made = [await client.wait(one.id, timeout=180) for one in asked]
    assert {one.status.phase for one in made} == {Phase.ACTIVE}
    assert sorted(image.rpartition(".")[2] for image in world.images()) == sorted(
        one.id for one in asked
    )
    await _gone(client, *(one.id for one in asked))
    assert world.images() == []
    for process in ("iscsi_worker", "scheduler"):
        await asyncio.to_thread(storing.wait_ready, process)


@pytest.mark.timeout(300)
async def test_nobody_uses_anothers_volume(
    storing: Installation, client: Client, world: World
) -> None:
    """By no reference: it is as unknown as one that there never was."""
    volume = await _active(client, CreateVolume(size_gib=1))
    async with Client(storing.url, token=storing.tokens["openlab"]) as other:
        for request in (
            CreateSnapshot(volume=volume.id),
            CreateAttachment(volume=volume.id, initiator_iqn=INITIATOR),
        ):
            with pytest.raises(ApiError) as refused:
                await other.create(request)
            assert refused.value.status == 422
            assert refused.value.problem.errors[0].pointer == "/volume"
        with pytest.raises(ApiError) as unknown:
            await other.get(volume.id)
        assert unknown.value.status == 404
    await _gone(client, volume.id)


@pytest.mark.timeout(300)
async def test_what_cannot_be_had_fails_with_the_stores_words(client: Client, world: World) -> None:
    """An image that there isn't, and a size below the image's."""
    golden = world.make_golden(2 * GIB)
    for request, reason in (
        (CreateVolume(image="no-such-image"), Reason.IMAGE_NOT_FOUND),
        (CreateVolume(image=golden, size_gib=1), Reason.SIZE_TOO_SMALL),
    ):
        made = await client.create(request)
        failed = await waited(client, made.id, Phase.FAILED, timeout=120)
        assert failed.status.reason == reason
        assert failed.status.message
    assert world.images() == []
