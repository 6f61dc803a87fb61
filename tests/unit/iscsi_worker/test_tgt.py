"""What tgtd says and is told, as recorded of version 1.0.85."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from services.iscsi_worker.backend import Session
from services.iscsi_worker.stores_file import CephAccess, TgtAccess
from services.iscsi_worker.tgt_control import TgtControl
from services.iscsi_worker.tgt_gateway import TgtGateway, tids
from services.iscsi_worker.tgt_output import Listing, read_names, read_targets
from services.iscsi_worker.tgt_protocol import SHOW_TARGETS, Order, fault_of, new_account
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable
from shared.runtime.settings import Secret
from shared.worker.chap import Account
from shared.worker.errors import Conflict, NotFound, Refused

RECORDED = Path(__file__).with_name("tgtadm-target-show.txt")


def test_all_targets_are_read() -> None:
    """LUNs without tgtd's own, serial numbers, sizes, accounts, ACLs, sessions."""
    whole, bare, busy = read_targets(RECORDED.read_text()).targets
    assert (whole.tid, whole.iqn) == (1900000001, "iqn.2026-11.org.colobus:i.t.attachment-1")
    assert whole.luns == {1: "rbd/colobus.i.t.v"}
    assert whole.serials[1] == "01jgz0000000000000000000000"
    assert whole.sizes[1] == 67_000_000
    assert (whole.usernames, whole.initiators) == (["uuuuuuuu"], ["iqn.2026-11.test:a"])
    assert whole.sessions == []
    assert (bare.iqn, bare.luns, bare.usernames, bare.initiators) == ("iqn.x:bare", {}, [], [])
    assert busy.sessions == [
        Session("1", "iqn.2026-11.test:a", "127.0.0.1"),
        Session("12", "iqn.2026-11.test:b", "10.0.0.7"),
    ]
    assert busy.initiators == ["iqn.2026-11.test:a", "iqn.2026-11.test:b", "10.0.0.0/8"]
    assert busy.usernames == ["one", "two"]


@pytest.mark.parametrize(
    ("shown", "alias", "of_system"),
    [
        ("none", "", False),
        ("", "", False),
        ("tiny", "tiny", True),
        ("(none)", "(none)", True),
        ("a host", "a host", True),
    ],
)
def test_a_system_tells_its_name_and_firmware_tells_none(
    shown: str, alias: str, of_system: bool
) -> None:
    """Tgtd prints ``none`` then; an initramfs whose host has no name yet tells ``(none)``."""
    text = RECORDED.read_text().replace("test:b alias: none", f"test:b alias: {shown}")
    (_, other) = read_targets(text).targets[2].sessions
    assert other == Session("12", "iqn.2026-11.test:b", "10.0.0.7", alias)
    assert other.of_system is of_system


def test_nothing_is_no_target() -> None:
    """Tgtd prints nothing then."""
    assert read_targets("") == Listing([])


VICTIM = "iqn.2026-11.test:victim"
#: What tgtd prints of a target before its sessions.
HEADER = """Target {tid}: {iqn}
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
"""
SESSION = """        I_T nexus: 77
            Initiator: iqn.2026-11.test:other alias: pwned
            Connection: 0
                IP Address: 10.6.6.6
"""
SECTIONS = """    LUN information:
        LUN: 1
            Size: 1 MB, Block size: 512
            SCSI SN: forged
            Backing store path: rbd/colobus.i.other.v
    Account information:
        forged
    ACL information:
        iqn.forged
"""
FORGED_TARGET = SECTIONS + HEADER.format(tid=77, iqn=VICTIM) + SESSION
#: tgtd keeps 1024 bytes of a session, the last one a zero.
KEPT = 1023


def shown_with(*aliases: str) -> str:
    """The recorded targets, where the first has sessions that told these aliases."""
    shown = ""
    for number, alias in enumerate(aliases, start=1):
        told = f"            Initiator: iqn.2026-11.test:a alias: {alias}\n"
        told += "            Connection: 0\n                IP Address: 127.0.0.1\n"
        shown += f"        I_T nexus: {number}\n{told[:KEPT]}"
    head = "    I_T nexus information:\n"
    return RECORDED.read_text().replace(head, head + shown, 1)


@pytest.mark.parametrize(
    "aliases",
    [
        (f"none\n{FORGED_TARGET}",),
        (FORGED_TARGET,),
        (f"none\n{SECTIONS}",),
        (f"none\n{HEADER.format(tid=77, iqn=VICTIM)}{SESSION}{SECTIONS}",),
        (f"none\n{SECTIONS}{HEADER.format(tid=5, iqn='iqn.x:bare')}{SESSION}",),
        (f"none\n{SECTIONS}{HEADER.format(tid=7, iqn='iqn.x:busy')}{SESSION}{SECTIONS}",),
        (f"{FORGED_TARGET}{'x' * 2000}",),
        (f"{FORGED_TARGET}    LUN information:\n        LUN: 1\n{'            x' * 200}",),
        (FORGED_TARGET, FORGED_TARGET),
        ("x" * 2000, FORGED_TARGET + "x" * 2000, FORGED_TARGET),
        (f"{SECTIONS}Target 77: {VICTIM}\n    System information:\n        {'x' * 2000}", SESSION),
        (f"none\r{FORGED_TARGET}", f"none\x0b\x85\u2028{FORGED_TARGET}"),
    ],
)
def test_a_forged_alias_tells_nothing_of_others(aliases: tuple[str, ...]) -> None:
    """Whole targets, sections, numbers that others have; also where tgtd has cut them off."""
    honest = read_targets(RECORDED.read_text()).targets
    own, *others = read_targets(shown_with(*aliases)).targets
    assert others == honest[1:]
    own.sessions.clear()
    assert own == honest[0]


@pytest.mark.parametrize("room", range(1, 960, 7))
@pytest.mark.parametrize("more", ["", "x" * 2000])
def test_no_place_in_an_alias_is_the_right_one(room: int, more: str) -> None:
    """Wherever the forgery begins and is cut off, and a second session goes on with it."""
    honest = read_targets(RECORDED.read_text()).targets
    for forged in (FORGED_TARGET, SECTIONS, "            Backing store path: rbd/other"):
        start = "    LUN information:\n        LUN: 1\n" if forged[4] == " " else ""
        alias = "z" * room + start + forged + more
        own, *others = read_targets(shown_with(alias, alias)).targets
        assert (others, own.luns) == (honest[1:], honest[0].luns)


def test_numbers_of_sessions_are_such_that_tgtadm_takes_them() -> None:
    """Else a forged one would make it refuse to close the others."""
    alias = f"none\n        I_T nexus: {'9' * 30}\n        I_T nexus: 5 --op new"
    own = read_targets(shown_with(alias, "web-1")).targets[0]
    assert [one.id for one in own.sessions] == ["1", "2"]


def test_an_honest_alias_needs_no_second_question() -> None:
    """Nothing was passed over; what was forged is worth one."""
    assert not read_targets(shown_with("none", "web-1")).doubtful
    assert read_targets(shown_with(FORGED_TARGET)).doubtful


def test_what_is_doubtful_has_to_agree_with_the_list_of_names() -> None:
    """A target without any disk that somebody is logged in to looks like a forgery."""
    names = "LLDs:\n    iscsi: ready\n        Target 1: iqn.a\n        Target 2: iqn.b\n"
    assert read_names(names) == [(1, "iqn.a"), (2, "iqn.b")]
    without = "    LUN information:\n    Account information:\n    ACL information:\n"
    both = HEADER.format(tid=1, iqn="iqn.a") + SESSION + without
    both += HEADER.format(tid=2, iqn="iqn.b") + without
    seen = read_targets(both)
    assert seen.doubtful
    assert not seen.is_of(read_names(names))
    assert read_targets(shown_with(FORGED_TARGET)).is_of(
        [(7, "iqn.x:busy"), (1900000001, "iqn.2026-11.org.colobus:i.t.attachment-1"),
         (5, "iqn.x:bare")]
    )  # fmt: skip


@pytest.mark.parametrize("text", ["nonsense", HEADER.format(tid=1, iqn="iqn.a") + SESSION])
def test_what_tgtd_would_not_write_is_not_guessed_at(text: str) -> None:
    """Half a list would look like a loss."""
    with pytest.raises(ValueError, match="no "):
        read_targets(text)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (4, NotFound, "can't find the target"),
        (6, NotFound, "can't find the session"),
        (15, NotFound, "can't find the account"),
        (13, NotFound, "this access control rule does not exist"),
        (9, Conflict, "this target already exists"),
        (10, Conflict, "this logical unit number already exists"),
        (12, Conflict, "this access control rule already exists"),
        (14, Conflict, "this account already exists"),
        (19, Conflict, "this target is still active"),
        (17, Refused, "invalid request"),
        (99, Refused, "99"),
    ],
)
def test_each_complaint_has_its_meaning(number: int, kind: type[Exception], words: str) -> None:
    """In the words that tgtadm has for it."""
    error = fault_of(number)
    assert type(error) is kind
    assert words in error.detail


def test_an_order_is_encoded_as_tgtadm_does_it() -> None:
    """Byte by byte what ``tgtadm --op new --mode account`` was seen to send; nothing shows it."""
    order = new_account(Account("uuuu", Secret("pppp")))
    recorded = (
        bytes.fromhex("0700000000000000") + b"iscsi".ljust(64, b"\0")
        + bytes.fromhex("90000000ffffffff0000000000000000ffffffffffffffff")
        + bytes(24) + b"user=uuuu,password=pppp\0"
    )  # fmt: skip
    assert order.encoded() == recorded
    assert "pppp" not in repr(order)


def test_a_target_has_few_numbers_of_its_own() -> None:
    """Always the same, and never those that people give by hand."""
    numbers = tids("iqn.x:a")
    assert numbers == tids("iqn.x:a")
    assert len(set(numbers)) == 4
    assert all(65536 <= number < 2**31 for number in numbers)
    assert not set(numbers) & set(tids("iqn.x:b"))


@pytest.mark.parametrize(
    ("listing", "names", "calls", "seen"),
    [
        (shown_with("web-1"), "", 1, True),
        (shown_with(FORGED_TARGET), "1900000001: {whole} 5: iqn.x:bare 7: iqn.x:busy", 2, True),
        (shown_with(FORGED_TARGET), "1900000001: {whole} 5: iqn.x:bare", 6, False),
    ],
)
async def test_names_are_asked_for_where_something_was_forged(
    listing: str, names: str, calls: int, seen: bool
) -> None:
    """One call otherwise; and what does not agree at last is not told."""
    asked: list[Order] = []
    words = names.format(whole="iqn.2026-11.org.colobus:i.t.attachment-1").split()
    lld = [f"        Target {tid} {iqn}" for tid, iqn in zip(words[::2], words[1::2], strict=True)]

    class Control:
        async def __call__(self, _: Deadline, order: Order) -> str:
            asked.append(order)
            return listing if order == SHOW_TARGETS else "\n".join(["LLDs:", *lld])

    access = TgtAccess(socket=Path("/s"), portals=("127.0.0.1:3260",))
    ceph = CephAccess(conf=Path("/c"), pool="rbd", user="u")
    control = cast("TgtControl", Control())
    gateway = TgtGateway(control, access, ceph, Deadline.after(60))
    if seen:
        assert len(await gateway.targets()) == 3
    else:
        with pytest.raises(BackendUnavailable):
            await gateway.targets()
    assert len(asked) == calls
