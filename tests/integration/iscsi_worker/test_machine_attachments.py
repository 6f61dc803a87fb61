"""Volumes for machines, on the real tgtd: the machine's own initiator gets in, and no other."""

from __future__ import annotations

import asyncio

import pytest

from services.iscsi_worker.queries import QUERY_HANDLERS
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    AttachmentCredentialsIssued,
    AttachVolume,
    DetachVolume,
    GetAttachmentCredentials,
    InspectStorage,
    StorageObserved,
    StoredThing,
    VolumeAttached,
)
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import SealingKey
from tests.integration.iscsi_worker.initiators import Login, logged_in
from tests.integration.iscsi_worker.machines import made_machine
from tests.integration.iscsi_worker.world import (
    INITIATOR,
    STORE,
    TENANT,
    Attachment,
    Replica,
    World,
    only,
)

_BLOCK = 4096


async def credentials(replica: Replica, attachment: str, volume: str, machine: str) -> Login:
    """What the owner is told."""
    key = SealingKey.generate()
    query = GetAttachmentCredentials(
        store=STORE,
        attachment=attachment,
        volume=volume,
        machine=machine,
        public_key=key.public_key,
    )
    told = await QUERY_HANDLERS[GetAttachmentCredentials](TENANT, query, replica.context)
    assert isinstance(told, AttachmentCredentialsIssued)
    return Login(
        portal=told.portals[0],
        target=told.target_iqn,
        lun=told.lun,
        initiator=told.initiator_iqn,
        username=told.chap_username,
        secret=key.open(told.sealed_secret).decode(),
    )


async def test_a_machine_logs_in_by_its_own_name(replica: Replica, world: World) -> None:
    """The name under which it boots; beside its own disks, and with another secret."""
    machine = await made_machine(replica)
    await machine.export()
    volume, attachment = await replica.volume(), new_id("attachment")
    attach = AttachVolume(store=STORE, volume=volume.id, machine=machine.id)
    told = only(await replica.do(attachment, attach), VolumeAttached)
    assert told.initiator_iqn == machine.offer.initiator_iqn
    login = await credentials(replica, attachment, volume.id, machine.id)
    assert (login.target, login.initiator) == (told.target_iqn, told.initiator_iqn)
    assert await asyncio.to_thread(login.but(initiator=INITIATOR).refusal)
    root = machine.login(1)
    assert root.secret != login.secret
    assert await asyncio.to_thread(login.but(username=root.username, secret=root.secret).refusal)

    thing = StoredThing(resource_id=attachment, tenant=TENANT, volume=volume.id, machine=machine.id)
    with logged_in(root), logged_in(login) as session:
        assert session.write(5, at=_BLOCK)
        seen = await replica.do("inspection", InspectStorage(store=STORE, things=(thing,)))
        observed = only(seen, StorageObserved)
        assert (observed.offered, observed.initiators) == (True, (told.initiator_iqn,))
        await asyncio.to_thread(session.log_out)
    assert world.content(volume.image, _BLOCK, at=_BLOCK) == b"\x05" * _BLOCK

    # The machine goes first: its target is another, and the attachment has nobody logged in.
    await machine.withdraw()
    detach = DetachVolume(store=STORE, volume=volume.id, machine=machine.id)
    await replica.do(attachment, detach)
    assert "Target" not in world.tgtd.targets()
    assert world.tgtd.accounts() == []


async def test_a_machine_and_another_initiator_do_not_share_a_volume(replica: Replica) -> None:
    """One writer, however it is named."""
    volume = await replica.volume()
    attach = AttachVolume(store=STORE, volume=volume.id, machine=new_id("machine"))
    await replica.do(new_id("attachment"), attach)
    with pytest.raises(PermanentError) as refused:
        await Attachment(replica, volume).attach()
    assert refused.value.reason == Reason.IN_USE


async def test_an_order_that_names_nobody_is_refused(replica: Replica) -> None:
    """Nothing is offered to nobody."""
    volume = await replica.volume()
    with pytest.raises(PermanentError) as refused:
        await replica.do(new_id("attachment"), AttachVolume(store=STORE, volume=volume.id))
    assert refused.value.reason == Reason.COMMAND_REJECTED
