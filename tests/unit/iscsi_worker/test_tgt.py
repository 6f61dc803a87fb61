"""What tgtd and tgtadm say, as recorded of version 1.0.85."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.iscsi_worker.backend import Session
from services.iscsi_worker.tgt_control import account_request, fault_of
from services.iscsi_worker.tgt_gateway import tids
from services.iscsi_worker.tgt_output import read_targets
from shared.runtime.errors import BackendUnavailable
from shared.runtime.settings import Secret
from shared.worker.chap import Account
from shared.worker.errors import Conflict, NotFound, Refused

RECORDED = Path(__file__).with_name("tgtadm-target-show.txt")


def test_all_targets_are_read() -> None:
    """LUNs without tgtd's own, serial numbers, sizes, accounts, ACLs, sessions."""
    whole, bare, busy = read_targets(RECORDED.read_text())
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
    (_, other) = read_targets(text)[2].sessions
    assert other == Session("12", "iqn.2026-11.test:b", "10.0.0.7", alias)
    assert other.of_system is of_system


def test_nothing_is_no_target() -> None:
    """Tgtd prints nothing then."""
    assert read_targets("") == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("tgtadm: can't find the target", NotFound),
        ("tgtadm: can't find the session", NotFound),
        ("tgtadm: can't find the account", NotFound),
        ("tgtadm: this access control rule does not exist", NotFound),
        ("tgtadm: this target already exists", Conflict),
        ("tgtadm: this logical unit number already exists", Conflict),
        ("tgtadm: this access control rule already exists", Conflict),
        ("tgtadm: this target is still active", Conflict),
        ("tgtadm: invalid request", Refused),
        ("", Refused),
        (
            "tgtadm: failed to send request hdr to tgt daemon, Transport endpoint is not connected",
            BackendUnavailable,
        ),
    ],
)
def test_each_complaint_has_its_meaning(said: str, kind: type[Exception]) -> None:
    """In its own words."""
    error = fault_of(said + "\n")
    assert type(error) is kind
    assert said.removeprefix("tgtadm: ") in error.detail


def test_an_account_is_ordered_as_tgtadm_does_it() -> None:
    """Byte by byte what ``tgtadm --op new --mode account`` was seen to send."""
    order = account_request(Account("uuuu", Secret("pppp")))
    recorded = (
        bytes.fromhex("0700000000000000") + b"iscsi".ljust(64, b"\0")
        + bytes.fromhex("90000000ffffffff0000000000000000ffffffffffffffff")
        + bytes(24) + b"user=uuuu,password=pppp\0"
    )  # fmt: skip
    assert order == recorded


def test_a_target_has_few_numbers_of_its_own() -> None:
    """Always the same, and never those that people give by hand."""
    numbers = tids("iqn.x:a")
    assert numbers == tids("iqn.x:a")
    assert len(set(numbers)) == 4
    assert all(65536 <= number < 2**31 for number in numbers)
    assert not set(numbers) & set(tids("iqn.x:b"))
