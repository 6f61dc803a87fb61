"""A machine's two disks on the real Ceph and tgtd: made, offered, seen, and taken away."""

from __future__ import annotations

import io
import signal
import subprocess
from pathlib import Path

import pycdlib
import pytest

from shared.contract.messages import ConfigVolumeProvisioned, OrphanRemoved, RemoveOrphan
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound, Refused
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.machines import KEY, Machine, made_machine, system
from tests.integration.iscsi_worker.world import (
    OTHER_INITIATOR,
    STORE,
    TENANT,
    Replica,
    World,
    only,
)

MIB = 1 << 20
_AUTHENTICATION_FAILED, _NOT_FOUND = "(513)", "(515)"


def _files(disk: bytes) -> dict[str, str]:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(disk))
    found = {}
    for name in ("meta-data", "user-data"):
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
        found[name] = content.getvalue().decode()
    return found


def _what_it_is(file: Path) -> str:
    """In the words of what udev asks."""
    argv = ["/usr/sbin/blkid", "-p", "-s", "LABEL", "-s", "TYPE", str(file)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


async def test_the_second_disk_is_what_cloud_init_reads(
    replica: Replica, world: World, tmp_path: Path
) -> None:
    """Under the machine's own name; the label is the one that is looked for."""
    machine = Machine(replica, hostname="db-1")
    image = f"colobus.{world.installation}.{TENANT}.{machine.id}.config"
    assert await machine.config() == ConfigVolumeProvisioned(rbd_image=image)
    disk = world.content(image, 2 * MIB)
    assert len(disk) == MIB
    files = _files(disk)
    assert files["meta-data"] == f"instance-id: {machine.id}\nlocal-hostname: db-1\n"
    assert "runcmd" in files["user-data"]
    assert KEY in files["user-data"]
    file = tmp_path / "disk"
    file.write_bytes(disk)
    told = _what_it_is(file)
    assert 'LABEL="cidata"' in told
    assert 'TYPE="iso9660"' in told


async def test_made_twice_it_is_the_same(replica: Replica, world: World) -> None:
    """By another process too; under a machine that has it open as well."""
    machine = await made_machine(replica)
    image = (await machine.config()).rbd_image
    before = world.content(image, MIB)
    await machine.export()
    with logged_in(machine.login(1)):
        async with world.replica() as other:
            assert (await Machine(other, machine.id).config()).rbd_image == image
    assert world.content(image, MIB) == before


@pytest.mark.parametrize("left", ["nothing", "half", "short", "long"])
async def test_half_a_disk_is_written_again(replica: Replica, world: World, left: str) -> None:
    """What an earlier worker has left, or another version of it."""
    machine = Machine(replica)
    image = (await machine.config()).rbd_image
    whole = world.content(image, MIB)
    with world.rbd.Image(world.pool, image) as opened:
        if left == "nothing":
            opened.write(bytes(MIB), 0)
        elif left == "half":
            opened.write(bytes(MIB // 2), 60_000)
        else:
            opened.resize(MIB // 2 if left == "short" else 2 * MIB)
    await machine.config()
    assert world.content(image, 2 * MIB) == whole


async def test_another_disk_is_not_written_over_while_it_is_offered(
    replica: Replica, world: World
) -> None:
    """It can't differ; if it did, whoever reads it must not have it changed beneath."""
    machine = await made_machine(replica)
    image = (await machine.config()).rbd_image
    world.write(image, b"something else", at=MIB - 512)
    await machine.export()
    with pytest.raises(TemporaryError, match=machine.id) as refused:
        await machine.config()
    assert refused.value.reason == Reason.IN_USE
    assert world.content(image, 14, at=MIB - 512) == b"something else"
    await machine.withdraw()
    await machine.config()
    assert world.content(image, 14, at=MIB - 512) == bytes(14)


async def test_a_machine_has_both_disks_in_order(replica: Replica, world: World) -> None:
    """Root first; the serial numbers tell them apart; twice is the same."""
    machine = await made_machine(replica, b"r" * 4096)
    told = await machine.export()
    assert (told.lun, told.config_lun) == (1, 2)
    assert told.target_iqn == f"iqn.2026-11.org.colobus:{world.installation}.{TENANT}.{machine.id}"
    assert told.initiator_iqn == f"{told.target_iqn}.initiator"
    assert told.portals == (world.tgtd.portal,)
    root, config = machine.login(told.lun), machine.login(told.config_lun)
    assert root.reads(b"r" * 4096)
    assert root.size() == 1 << 26
    # A disk of zeros up to the first descriptor, which begins with 01 "CD001".
    assert config.reads(bytes(1) * 4096)
    assert config.reads(b"\x01", at=16 * 2048)
    assert config.reads(b"C", at=16 * 2048 + 1)
    assert config.size() == MIB
    shown = world.tgtd.targets()
    number = machine.id[-26:]
    assert f"SCSI SN: {number}\n" in shown
    assert f"SCSI SN: {number}-config\n" in shown
    assert await machine.export() == told


async def test_only_the_machine_gets_in(replica: Replica) -> None:
    """With its secret: no other initiator, and nobody by guessing."""
    machine = await made_machine(replica)
    told = await machine.export()
    login = machine.login(told.lun)
    assert login.refusal() == ""
    assert _AUTHENTICATION_FAILED in login.but(secret="0123456789abcdef").refusal()
    assert _NOT_FOUND in login.but(initiator=OTHER_INITIATOR).refusal()
    other = await made_machine(replica)
    await other.export()
    assert _NOT_FOUND in login.but(target=other.offer.target_iqn).refusal()
    foreign = other.login(1).but(target=told.target_iqn, initiator=told.initiator_iqn)
    assert _AUTHENTICATION_FAILED in foreign.refusal()


async def test_half_a_machine_is_not_offered(replica: Replica, world: World) -> None:
    """Whichever disk is missing."""
    machine = Machine(replica)
    for make in (None, machine.config):
        if make is not None:
            await make()
        with pytest.raises(NotFound, match=machine.id) as refused:
            await machine.export()
        assert refused.value.reason == Reason.VOLUME_NOT_FOUND
        assert machine.id not in world.tgtd.targets()
    await machine.root(world.make_golden(MIB))
    await machine.export()


async def test_a_target_with_one_disk_is_completed(replica: Replica, world: World) -> None:
    """As with an old account, another initiator, and somebody logged in."""
    machine = await made_machine(replica)
    await machine.export()
    shown = world.tgtd.targets()
    tid = shown[: shown.index(machine.offer.target_iqn)].rpartition("Target ")[2].split(":")[0]
    world.tgtd.order("--mode", "logicalunit", "--op", "delete", "--tid", tid, "--lun", "2")
    order = ("--mode", "target", "--op", "bind", "--tid", tid, "-Q", OTHER_INITIATOR)
    world.tgtd.order(*order)
    assert not (await machine.look()).offered
    with logged_in(machine.login(1)):
        assert (await machine.export()).config_lun == 2
    assert (await machine.look()).offered
    assert _NOT_FOUND in machine.login(1).but(initiator=OTHER_INITIATOR).refusal()


async def test_the_longest_names_are_fine(world: World) -> None:
    """Of installation and tenant: for Ceph and its locks, for tgt, and for the initiator."""
    image = world.make_golden(1 << 26, b"r" * 512)
    async with world.replica(installation_id=world.installation.ljust(32, "x")) as replica:
        machine = Machine(replica, tenant="t" * 32)
        await machine.root(image)
        await machine.config()
        told = await machine.export()
        assert (await machine.look()).offered
        assert machine.login(told.lun).reads(b"r" * 512)
        assert machine.login(told.config_lun).reads(b"\x01", at=16 * 2048)
        await machine.withdraw()
        await machine.drop_config()
        await machine.drop_root()
        assert [one for one in world.rbd.RBD().list(world.pool) if machine.id in one] == []


async def test_a_system_is_told_from_firmware(replica: Replica) -> None:
    """By the alias that it tells, whether or not its host has a name yet; offered and gone too."""
    machine = await made_machine(replica)
    assert (await machine.look()).offered is False
    told = await machine.export()
    seen = await machine.look()
    assert (seen.gone, seen.offered, seen.initiators, seen.systems) == (False, True, (), ())
    with logged_in(machine.login(1)):
        seen = await machine.look()
        assert (seen.initiators, seen.systems) == ((told.initiator_iqn,), ())
        for alias in ("tiny", "(none)"):
            with system(machine.login(1), alias):
                seen = await machine.look()
                assert set(seen.initiators) == {told.initiator_iqn}
                assert seen.systems == (told.initiator_iqn,)
    await machine.withdraw()
    await machine.drop_root()
    seen = await machine.look()
    assert (seen.gone, seen.offered) == (True, False)


async def test_an_attachments_initiators_are_told_apart_too(replica: Replica) -> None:
    """As those of machines."""
    attachment = await replica.attached(await replica.volume())
    login = await attachment.login()
    with system(login, "a host"):
        seen = await attachment.look()
        assert seen.initiators == seen.systems == (attachment.initiator,)
    await attachment.detach(force=True)


@pytest.mark.parametrize("stopped", [False, True])
async def test_withdrawing_closes_what_seems_logged_in(
    replica: Replica, world: World, stopped: bool
) -> None:
    """Whether it lives or is silent; then both disks can go, and nothing is left."""
    machine = await made_machine(replica)
    await machine.export()
    with pytest.raises(TemporaryError, match=machine.id) as refused:
        await machine.drop_config()
    assert refused.value.reason == Reason.IN_USE
    assert world.installation not in str(refused.value)
    with system(machine.login(1), "tiny") as process:
        if stopped:
            process.send_signal(signal.SIGSTOP)
        await machine.withdraw()
        assert machine.id not in world.tgtd.targets()
        assert machine.offer.account.username not in world.tgtd.accounts()
    for _ in range(2):
        await machine.withdraw()
        await machine.drop_config()
        await machine.drop_root()
    assert not [image for image in world.images() if machine.id in image]


async def _remove(replica: Replica, what: str, object_id: str, resource_id: str) -> None:
    order = RemoveOrphan(place=STORE, what=what, object_id=object_id, resource_id=resource_id)
    only(await replica.do(resource_id, order, tenant="colobus"), OrphanRemoved)


async def test_a_census_has_all_of_a_machine_and_orphans_of_it_go(
    replica: Replica, world: World
) -> None:
    """What is in use stays, with the reason; what is another's or another sort is not touched."""
    machine = await made_machine(replica)
    target = (await machine.export()).target_iqn
    root, config = machine.offer.images
    mine = {one.id: one for one in await replica.census() if one.resource_id == machine.id}
    sorts = {id: one.what for id, one in mine.items()}
    assert sorts == {root: "rbd_image", config: "config_image", target: "iscsi_target"}
    assert {one.tenant for one in mine.values()} == {TENANT}
    with logged_in(machine.login(1)):
        for what, id in (("iscsi_target", target), ("config_image", config)):
            with pytest.raises(TemporaryError):
                await _remove(replica, what, id, machine.id)
    other = Machine(replica)
    for what, id, whose in (
        ("config_image", config, other.id),
        ("config_image", root, machine.id),
        ("rbd_image", config, machine.id),
    ):
        with pytest.raises(Refused):
            await _remove(replica, what, id, whose)
    for _ in range(2):
        await _remove(replica, "iscsi_target", target, machine.id)
        await _remove(replica, "config_image", config, machine.id)
        await _remove(replica, "rbd_image", root, machine.id)
    assert not [one for one in await replica.census() if one.resource_id == machine.id]
    assert machine.offer.account.username not in world.tgtd.accounts()
