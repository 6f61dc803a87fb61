"""What Nova and Neutron tell, as recorded from real ones (``notifications/*.json``)."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vm_worker.notifications import (
    FloatingIpNotified,
    Notification,
    PortNotified,
    ServerNotified,
    UnreadableNotification,
    read,
)
from shared.worker.marks import Marks

RECORDED = Path(__file__).parent / "notifications"
#: The installation that they were recorded of.
MARKS = Marks("devcloud-21000", "vm_worker")
VM = "vm-01m854mnysg500am2k8snckv1h"
PROJECT = "d5a66e13e3eb40cd823ec9367e442a02"
SERVER = "9b8a6d6b-8ebd-4262-b220-15c9055b5ab2"
PORT = "87fa7032-c292-477c-8e7c-e4892f9fb5d0"


def body(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def told(name: str, marks: Marks = MARKS) -> Notification | None:
    return read(body(name), marks)


def changed(name: str, **payload: Any) -> bytes:
    """The recorded one, with other values in Nova's data."""
    outer = json.loads(body(name))
    inner = json.loads(outer["oslo.message"])
    inner["payload"]["nova_object.data"] |= payload
    return json.dumps({**outer, "oslo.message": json.dumps(inner)}).encode()


def test_the_end_of_a_build_shows_the_server() -> None:
    """Its state in the API's words, when it was launched, whose it is, and which ports it has."""
    seen = told("instance.create.end")
    assert isinstance(seen, ServerNotified)
    assert (seen.resource_id, seen.project_id, seen.gone) == (VM, PROJECT, False)
    assert seen.at == datetime(2026, 11, 23, 21, 22, 58, 336305, tzinfo=UTC)
    server = seen.server
    assert (server.id, server.status, server.task_state) == (SERVER, "ACTIVE", None)
    assert server.addresses == ("10.77.2.220",)
    assert server.launched_at == datetime(2026, 11, 23, 21, 22, 58, tzinfo=UTC)
    assert seen.port_ids == (PORT,)


@pytest.mark.parametrize(
    ("name", "status", "gone"),
    [
        ("instance.reboot.end", "ACTIVE", False),
        ("instance.power_off.end", "SHUTOFF", False),
        ("instance.power_on.end", "ACTIVE", False),
        ("instance.update.error", "ERROR", False),
        ("instance.delete.end", "DELETED", True),
    ],
)
def test_what_a_server_has_come_to_is_told(name: str, status: str, gone: bool) -> None:
    """The end of each action, and ERROR, which has no end of its own."""
    seen = told(name)
    assert isinstance(seen, ServerNotified)
    assert (seen.server.status, seen.gone) == (status, gone)


@pytest.mark.parametrize(
    "name",
    [
        "instance.create.start",
        "instance.update.spawning",
        "instance.update.active",  # create.end follows
        "instance.shutdown.end",  # a part of being deleted
        "instance.create.error",  # Nova may yet try another host
        "scheduler.select_destinations.end",
        "port.update.start",
        "tag.update.end",
    ],
)
def test_what_is_only_on_the_way_says_nothing(name: str) -> None:
    """Beginnings, transient states, and what is about no VM."""
    assert told(name) is None


def test_the_port_is_told_with_the_server_that_it_serves() -> None:
    """Up and down alike."""
    up, down = told("port.update.end.up"), told("port.update.end.down")
    assert isinstance(up, PortNotified)
    assert isinstance(down, PortNotified)
    assert (up.resource_id, up.project_id) == (VM, PROJECT)
    assert (up.port.id, up.port.status, up.port.device_id) == (PORT, "ACTIVE", SERVER)
    assert up.port.fixed_ips == ("10.77.2.220",)
    assert (down.port.status, down.port.device_id) == ("DOWN", "")
    gone = told("port.delete.end")
    assert isinstance(gone, PortNotified)
    assert gone.gone


def test_the_floating_ip_is_told_with_its_port() -> None:
    """Made, and gone."""
    made, gone = told("floatingip.create.end"), told("floatingip.delete.end")
    assert isinstance(made, FloatingIpNotified)
    assert isinstance(gone, FloatingIpNotified)
    assert (made.resource_id, made.floating_ip.port_id) == (VM, PORT)
    assert (made.floating_ip.address, made.gone, gone.gone) == ("203.0.113.12", False, True)


@pytest.mark.parametrize("path", sorted(RECORDED.iterdir()), ids=lambda path: path.stem)
def test_other_installations_are_none_of_our_business(path: Path) -> None:
    """Neither one of another name, nor one whose name begins with ours."""
    for name in ("another", "devcloud", "devcloud-2100"):
        assert read(path.read_bytes(), Marks(name, "vm_worker")) is None


def test_our_name_somewhere_in_it_does_not_make_it_ours() -> None:
    """A user may call a server as our installation is called."""
    named = changed("instance.create.end", metadata={}, display_name="devcloud-21000")
    assert read(named, MARKS) is None


@pytest.mark.parametrize("state", ["rescued", "shelved_offloaded", "resized", "suspended"])
def test_states_have_the_words_of_the_api(state: str) -> None:
    """A person may do more with a server than we do; it is still known as what it is."""
    seen = read(changed("instance.power_off.end", state=state), MARKS)
    assert isinstance(seen, ServerNotified)
    assert seen.server.status.isupper()


def test_a_state_that_we_have_no_word_for_says_nothing() -> None:
    """An inspection will have Nova's own word."""
    assert read(changed("instance.create.end", state="levitating"), MARKS) is None


def test_a_server_without_addresses_is_seen_all_the_same() -> None:
    """Nova may not have noticed its ports yet."""
    seen = read(changed("instance.create.end", ip_addresses=[], launched_at=None), MARKS)
    assert isinstance(seen, ServerNotified)
    assert (seen.port_ids, seen.server.addresses, seen.server.launched_at) == ((), (), None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"devcloud-21000",
        b'{"oslo.message": 3, "x": "devcloud-21000"}',
        b'{"oslo.message": "devcloud-21000"}',
        b"\xff devcloud-21000",
    ],
)
def test_what_is_no_notification_is_said_to_be_unreadable(garbage: bytes) -> None:
    """Never a fault that nobody expects."""
    with pytest.raises(UnreadableNotification):
        read(garbage, MARKS)


def test_a_timestamp_that_is_none_is_unreadable() -> None:
    """Without a time nothing can be said to be newer."""
    with pytest.raises(UnreadableNotification):
        read(body("instance.create.end").replace(b"2026-11-23 21:22", b"yesterday 21:22"), MARKS)


@given(st.sampled_from(sorted(RECORDED.iterdir())), st.data())
def test_a_mutated_notification_is_read_or_refused(path: Path, data: st.DataObject) -> None:
    """Whatever is in it: a fact, nothing, or unreadable."""
    bytes_ = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(UnreadableNotification):
        read(bytes(bytes_), MARKS)
