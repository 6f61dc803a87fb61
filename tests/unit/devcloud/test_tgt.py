"""tgt's command line, and the program that gives it orders."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from devcloud.account import Account
from devcloud.components.tgt import NOP, Tgt, offered_at, portals_path, socket_path, wrapper
from devcloud.site import Site
from tests.unit.devcloud.sites import site_in


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path)


def test_targets_are_offered_on_loopback(site: Site) -> None:
    """Nowhere else unless told."""
    assert offered_at(site) == [f"127.0.0.1:{site.ports['tgt']}"]


def test_more_portals_are_added_by_a_file(site: Site) -> None:
    """Such as the one that diskless machines see: it comes first, for who takes only one."""
    portals_path(site).parent.mkdir()
    portals_path(site).write_text("127.0.0.2:3260\n127.0.0.3:3260\n")
    own = f"127.0.0.1:{site.ports['tgt']}"
    assert offered_at(site) == ["127.0.0.2:3260", "127.0.0.3:3260", own]
    (daemon,) = Tgt(site).daemons()
    assert daemon.argv[-1] == f"{NOP},portal=127.0.0.2:3260,portal=127.0.0.3:3260,portal={own}"


def test_a_portal_whose_address_the_machine_has_lost_is_left_out(site: Site) -> None:
    """After a restart of the machine the network is not there, and tgtd could not listen there."""
    portals_path(site).parent.mkdir()
    portals_path(site).write_text("192.0.2.1:3260\n")
    assert offered_at(site) == [f"127.0.0.1:{site.ports['tgt']}"]


def test_it_is_stopped_by_a_signal_that_it_heeds(site: Site) -> None:
    """SIGTERM it ignores."""
    (daemon,) = Tgt(site).daemons()
    assert daemon.stop_signal is signal.SIGINT
    assert daemon.environment == {"TGT_IPC_SOCKET": str(socket_path(site))}


def test_orders_are_given_as_the_user_that_tgtd_runs_as(tmp_path: Path) -> None:
    """It answers nobody else, root neither."""
    text = wrapper(site_in(tmp_path, Account("them", os.geteuid() + 1, 4242)))
    switch = f"exec setpriv --reuid={os.geteuid() + 1} --regid=4242 --clear-groups"
    assert f'[ "$(id -u)" = {os.geteuid() + 1} ] || {switch} /usr/sbin/tgtadm "$@"' in text


def test_the_program_passes_its_arguments_on(site: Site, tmp_path: Path) -> None:
    """Blanks and semicolons included."""
    stand_in = tmp_path / "tgtadm"
    stand_in.write_text('#!/bin/sh\nprintf "%s|" "$TGT_IPC_SOCKET" "$@"\n')
    stand_in.chmod(0o755)
    program = tmp_path / "wrapper"
    program.write_text(wrapper(site).replace("/usr/sbin/tgtadm", str(stand_in)))
    done = subprocess.run(
        ["sh", str(program), "--bsopts", "conf=a b;id=c"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{socket_path(site)}|--bsopts|conf=a b;id=c|"


def test_the_program_is_not_written_anew_without_need(site: Site) -> None:
    """It would be no program for a moment, and somebody may be calling it."""
    Tgt(site).render()
    program = site.paths.etc / "tgt" / "tgtadm"
    assert os.access(program, os.X_OK)
    before = program.stat().st_ino
    Tgt(site).render()
    assert program.stat().st_ino == before
