"""What an initiator tells of itself is no news of anybody else, on the real tgtd."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.iscsi_worker.backend import Target
from shared.runtime.deadline import Deadline
from tests.integration.iscsi_worker.initiators import logged_in
from tests.integration.iscsi_worker.machines import made_machine, system
from tests.integration.iscsi_worker.world import STORE, Replica, World

VICTIM = "iqn.2026-11.org.test:victim"
#: libiscsi tells 255 bytes at most.
SHORT = """    LUN information:
    ACL information:
Target {tid}: {iqn}
    System information:
    I_T nexus information:
        I_T nexus: 9
            Initiator: {iqn} alias: pwned
"""
LONG = """    LUN information:
        LUN: 1
            Size: 1 MB
            Backing store path: {image}
    ACL information:
        iqn.x
Target {tid}: {iqn}
    System information:
    I_T nexus information:
        I_T nexus: 9
            Initiator: {iqn} alias: pwned
    LUN information:
        LUN: 1
            Size: 1 MB
            Backing store path: {image}
"""
#: A login request: immediate, from the operational to the full-feature phase.
_LOGIN = struct.Struct(">BBBBI6sHIHHII16x")


async def _targets(replica: Replica) -> dict[str, Target]:
    store = replica.context.stores.store(STORE, Deadline.after(60))
    return await store.gateway.targets()


@contextmanager
def _session(portal: str, target: str, alias: str, number: int) -> Iterator[None]:
    """A login without CHAP, with as long an alias as one likes."""
    host, _, port = portal.rpartition(":")
    told = {"InitiatorName": "iqn.x:a", "SessionType": "Normal", "TargetName": target}
    text = "".join(f"{key}={said}\0" for key, said in {**told, "InitiatorAlias": alias}.items())
    data = text.encode() + bytes(-len(text.encode()) % 4)
    isid = bytes(5) + bytes([number])
    head = _LOGIN.pack(0x43, 0x87, 0, 0, len(text.encode()), isid, 0, 1, 0, 0, 1, 0)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + data)
        answer = connection.recv(48)
        assert answer[36:38] == b"\0\0", answer
        yield


async def test_a_crafted_alias_makes_no_target_and_no_session(
    replica: Replica, world: World
) -> None:
    """Neither a new target, nor another's session, of a target that is or of one that isn't."""
    victim, forger = await made_machine(replica), await made_machine(replica)
    await victim.export()
    await forger.export()
    before = await _targets(replica)
    shown = world.tgtd.targets()
    named = re.search(rf"Target (\d+): {re.escape(victim.offer.target_iqn)}\n", shown)
    assert named is not None
    with logged_in(victim.login(1)):
        for tid, iqn in ((77, VICTIM), (named[1], victim.offer.target_iqn)):
            forged = "none\n" + SHORT.format(tid=tid, iqn=iqn)
            with system(forger.login(1), forged[:255]):
                assert f"\nTarget {tid}: {iqn}\n    System information:\n    I_T" in (
                    world.tgtd.targets()
                )
                now = await _targets(replica)
                assert now.keys() == before.keys()
                assert (await victim.look()).systems == ()
                assert len((await victim.look()).initiators) == 1
                target = now[forger.offer.target_iqn]
                assert target.luns == before[forger.offer.target_iqn].luns
                assert target.initiators == (forger.offer.initiator_iqn,)
    await victim.withdraw()
    await forger.withdraw()


async def test_tgtd_keeps_too_little_of_a_session_to_forge_a_disk(
    replica: Replica, world: World
) -> None:
    """Less than 1024 bytes of each, wherever they begin; `tgt_output` relies on it."""
    machine = await made_machine(replica)
    await machine.export()
    before = await _targets(replica)
    own = "iqn.2026-11.org.test:forger"
    order = ("--mode", "target", "--tid", "5")
    assert world.tgtd.order(*order, "--op", "new", "-T", own) == ""
    backing = ("--bstype", "null", "--backing-store", "x" * 400)
    lun = ("--mode", "logicalunit", "--tid", "5", "--op", "new", "--lun", "1", *backing)
    assert world.tgtd.order(*lun) == ""
    assert world.tgtd.order(*order, "--op", "bind", "-I", "ALL") == ""
    image = next(iter(before[machine.offer.target_iqn].sizes))
    forged = LONG.format(tid=77, iqn=VICTIM, image=image)
    try:
        with ExitStack() as sessions:
            for number, alias in enumerate(
                ["z" * 5000, forged, forged + "x" * 5000, "y" * 700 + forged, forged],
                start=1,
            ):
                sessions.enter_context(_session(world.tgtd.portal, own, alias, number))
            text = world.tgtd.targets()
            (kept,) = re.findall(r"(            Initiator: iqn\.x:a alias: z+)    ", text)
            assert len(kept) == 1023
            assert f"\nTarget 77: {VICTIM}\n" in text
            now = await _targets(replica)
            assert now.keys() == {*before, own}
            assert now[machine.offer.target_iqn] == before[machine.offer.target_iqn]
            assert now[own].luns == {1: "x" * 400}
    finally:
        world.tgtd.order(*order, "--op", "delete", "--force")
        await machine.withdraw()
