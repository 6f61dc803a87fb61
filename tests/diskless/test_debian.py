"""A real Debian with its root on a copy of a golden image: made by POST, used, given back.

All of these are about one machine, since its boot is what takes the time; each can be run alone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from colobus.client import Client
from colobus.models import CreateAttachment, CreateMachine, CreateVolume, Phase, Reason
from devcloud.nodes import RESOURCE_CLASS
from tests.diskless.box import LOG, Box, active, booted, gone, log_in, log_out
from tests.diskless.guest import CommandFailed, Guest, Key
from tests.integration.iscsi_worker.world import World
from tests.support.bare_metal import Metal
from tests.support.cloud import Cloud
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.machines import Systems, leaves_nothing
from tests.support.waiting import waited

SECRET_LINE = "a line that nobody else may read"
USER_DATA = f"""\
#cloud-config
write_files: [{{path: /etc/colobus-test, content: {SECRET_LINE}, permissions: "0600"}}]
runcmd: [[sh, -c, "echo ran >> /var/lib/colobus-runs"]]
"""
NAME = "builder-1"
#: Counts up in a file, each line on the disk before the next; {0}: the file.
WRITER = 'i=0; while :; do i=$((i+1)); echo $i >> "{0}"; sync "{0}"; sleep 0.1; done'
#: A file in memory, since there are no disks when it counts.
WATCHING = "/run/watching"
#: What Linux says of a disk that is lost.
LOSS = "I/O error|EXT4-fs error|rejecting I/O|[Rr]emounting|Aborting journal"


@pytest.fixture(scope="module")
def box(house: Installation, network: Cloud, metal: Metal, debian: str, key: Key) -> Iterator[Box]:
    """A machine with ssh keys and user data, its system up."""
    request = CreateMachine(
        image=debian,
        flavor=RESOURCE_CLASS,
        name=NAME,
        arch="x86_64",
        ssh_keys=(key.public,),
        user_data=USER_DATA,
    )
    started = time.monotonic()
    with booted(house, metal, key, request) as made:
        asyncio.run(made.guest.comes_up())
        LOG.info("POST to ssh: %.1f s", time.monotonic() - started)
        yield made


async def test_cloud_init_applies_keys_and_user_data_from_the_second_disk(
    box: Box, house: Installation, world: World, key: Key
) -> None:
    """And nothing of them is in a log."""
    run = box.guest.run
    assert "status: done" in await run("cloud-init status --wait", within=600)
    assert await run("cat /etc/colobus-test") == SECRET_LINE
    assert await run("cat /var/lib/colobus-runs") == "ran"
    assert await run("hostname") == NAME
    assert await run("cat /var/lib/cloud/data/instance-id") == box.machine.id
    assert key.public in await run("cat /home/debian/.ssh/authorized_keys")
    result = json.loads(await run("cat /run/cloud-init/result.json"))["v1"]
    assert "DataSourceNoCloud" in result["datasource"]
    assert await run("blkid -o value -s LABEL /dev/sdb") == "cidata"
    logs = "".join(path.read_text(errors="replace") for path in house.folder.glob("*.log"))
    assert SECRET_LINE not in logs


async def test_the_root_is_on_the_iscsi_disk(box: Box, world: World) -> None:
    """Of the machine's own target, which the system itself is logged in to."""
    run = box.guest.run
    root = await run("findmnt --noheadings --output SOURCE /")
    device = await run(f"readlink -f /sys/class/block/{root.removeprefix('/dev/')}")
    session = next(part for part in device.split("/") if part.startswith("session"))
    target = await run(f"cat /sys/class/iscsi_session/{session}/targetname")
    assert target.endswith(box.machine.id)
    assert set(Systems(world).of(box.machine)) - {"none"}
    LOG.info("memory: %s", (await run("free -m")).splitlines()[1])


async def test_an_attached_volume_appears_after_a_login_and_goes_after_the_logout(
    client: Client, box: Box
) -> None:
    """With what the API hands out and open-iscsi alone; what was written is there the next time."""
    guest = box.guest
    volume = await active(client, CreateVolume(size_gib=1))
    request = CreateAttachment(volume=volume.id, machine=box.machine.id)
    first = await active(client, request)
    told = await client.credentials(first.id)
    name = await guest.run("sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
    assert told.initiator_iqn == name
    before = await _disks(guest)
    disk = await log_in(guest, told)
    assert await guest.run(f"blockdev --getsize64 {disk}") == str(1 << 30)
    await guest.run(f"mkfs.ext4 -q {disk} && mount {disk} /mnt && echo kept > /mnt/marker")
    await client.delete(first.id)
    await _waits_for_the_logout(client, first.id)
    await guest.run("echo more >> /mnt/marker && umount /mnt")  # it is not pulled
    await log_out(guest, told)
    await waited(client, first.id, Phase.DELETED)
    assert await _disks(guest) == before
    with pytest.raises(CommandFailed):
        await log_in(guest, told)
    second = await active(client, request)
    again = await client.credentials(second.id)
    assert again.chap_secret != told.chap_secret
    await guest.run(f"mount {await log_in(guest, again)} /mnt")
    assert await guest.run("cat /mnt/marker") == "kept\nmore"
    await guest.run("umount /mnt")
    await log_out(guest, again)
    await gone(client, second.id, volume.id)
    assert await _disks(guest) == before


async def _disks(guest: Guest) -> str:
    return await guest.run("lsblk --nodeps --noheadings --output NAME,SIZE")


async def _waits_for_the_logout(client: Client, attachment: str) -> None:
    async def waits() -> bool:
        status = (await client.get(attachment)).status
        return status.reason == Reason.INITIATOR_LOGGED_IN

    await eventually(waits, what="the attachment waits for the logout")


async def test_a_gateway_that_is_killed_under_it_loses_nothing(
    client: Client, box: Box, world: World
) -> None:
    """Neither of its root nor of an attached volume: to the system it was a pause."""
    guest = box.guest
    volume = await active(client, CreateVolume(size_gib=1))
    attachment = await active(client, CreateAttachment(volume=volume.id, machine=box.machine.id))
    told = await client.credentials(attachment.id)
    disk = await log_in(guest, told)
    await guest.run(f"mkfs.ext4 -q {disk} && mount {disk} /mnt")
    files = ("/var/tmp/written", "/mnt/written")
    blob = await guest.run("head -c 16M /dev/urandom | tee /root/blob | sha256sum && sync")
    for number, file in enumerate(files):
        await guest.run(f"systemd-run --unit=writer-{number} sh -c '{WRITER.format(file)}'")
    for file in files:
        await _written(guest, file, beyond=0)
    counting = "; ".join(f"wc -l < {file}" for file in files)
    noticed = f"dmesg --clear; {_until('detected conn error')}; {counting}"
    noticing = asyncio.create_task(guest.run(noticed, within=600))
    await _is_watching(guest)
    await asyncio.to_thread(world.tgtd.kill)
    counts = [int(count) for count in (await noticing).split()]
    started = time.monotonic()
    await asyncio.to_thread(world.tgtd.start)
    for file, count in zip(files, counts, strict=True):
        await _written(guest, file, beyond=count)
        LOG.info("%s is written again after %.1f s", file, time.monotonic() - started)
    for number, file in enumerate(files):
        await guest.run(f"systemctl stop writer-{number}")
        await guest.run(f"awk '$1 != NR {{exit 1}}' {file}")
    await guest.run("sync && echo 3 > /proc/sys/vm/drop_caches")
    assert await guest.run("sha256sum < /root/blob") == blob
    assert await guest.run(f"dmesg | grep -cE '{LOSS}' || true") == "0"
    for place in ("/", "/mnt"):
        assert "rw" in (await guest.run(f"findmnt -no OPTIONS {place}")).split(",")
    await _is_told_whole(client, box.machine.id, attachment.id)
    await guest.run("umount /mnt")
    await log_out(guest, told)
    await gone(client, attachment.id, volume.id)


def _until(words: str) -> str:
    """Wait in the system, with what is in its memory: its disks are away."""
    look = f"dmesg | grep -q '{words}'"
    return f"{look}; sleep 0; touch {WATCHING}; until {look}; do sleep 1; done"


async def _is_watching(guest: Guest) -> None:
    """Wait until the command of `_until` is under way: it could not begin without disks."""

    async def begun() -> bool:
        try:
            await guest.run(f"test -e {WATCHING}")
        except CommandFailed:
            return False
        return True

    await eventually(begun, within=300, what="the system watches its disks")


async def _written(guest: Guest, file: str, *, beyond: int) -> None:
    """Wait until the writer has come on by some lines."""

    async def more() -> bool:
        try:
            return int(await guest.run(f"wc -l < {file}")) > beyond + 10
        except (CommandFailed, OSError):
            return False

    await eventually(more, within=600, what=f"{file} is written on")


async def _is_told_whole(client: Client, *ids: str) -> None:
    for one in ids:

        async def whole(of: str = one) -> bool:
            status = (await client.get(of)).status
            assert status.phase == Phase.ACTIVE, status
            return status.reason is None

        await eventually(whole, what=f"{one} is told to be whole")


async def test_what_was_written_is_there_after_a_reboot(client: Client, box: Box) -> None:
    """It is another boot of the same system, and cloud-init does nothing a second time."""
    guest = box.guest
    first = await guest.comes_up()
    await guest.run("echo kept > /root/marker && sync")
    started = time.monotonic()
    asked = (await client.reboot(box.machine.id)).status.operations[-1].id
    await guest.comes_up(other_than=first)
    LOG.info("reboot to ssh: %.1f s", time.monotonic() - started)
    assert await guest.run("cat /root/marker") == "kept"
    await guest.run("cloud-init status --wait", within=600)
    assert await guest.run("cat /var/lib/colobus-runs") == "ran"

    async def done() -> bool:
        operations = (await client.get(box.machine.id)).status.operations
        (operation,) = (one for one in operations if one.id == asked)
        assert operation.state != "failed", operation
        return operation.state == "done"

    await eventually(done, what="the reboot is told as done")


async def test_what_is_given_back_leaves_nothing(
    client: Client, box: Box, metal: Metal, world: World, network: Cloud
) -> None:
    """The node is off and clean; no clone, target, LUN, account or port."""
    await gone(client, box.machine.id)
    await leaves_nothing(metal, world, network, box.node)
