"""Machines are processes that are recognised by more than a number."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devcloud.machines import ALL_MACHINES
from devcloud.plugins.colobus_devcloud_machines import (
    Hardware,
    MachineFailed,
    command,
    pid,
    power_off,
    power_on,
)
from tests.support.conditions import eventually_sync

#: What QEMU does with its pid file, and nothing else of what it does.
EMULATOR = """\
#!/usr/bin/python3
import fcntl, os, sys, time
file = os.open(sys.argv[sys.argv.index("-pidfile") + 1], os.O_RDWR | os.O_CREAT)
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit("cannot create PID file")
if os.fork():
    time.sleep(0.1)
    os._exit(0)
fcntl.lockf(file, fcntl.LOCK_EX)
os.ftruncate(file, 0)
os.write(file, str(os.getpid()).encode())
for stream in (0, 1, 2):
    os.close(stream)
time.sleep(60)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hardware]:
    """A machine whose emulator only sleeps."""
    emulator = tmp_path / "qemu-system-x86_64"
    emulator.write_text(EMULATOR)
    emulator.chmod(emulator.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = Hardware(
        name="metal-9",
        system_id="9",
        mac="52:54:00:00:00:09",
        tap="metal-9",
        arch="x86_64",
        memory_mib=64,
        console=str(tmp_path / "console.log"),
        folder=str(tmp_path / "machines"),
    )
    yield made
    power_off(made)


def _on(machine: Hardware) -> int:
    power_on(machine, network_boot=True)
    return eventually_sync(lambda: pid(machine), what="it is on")


def test_switching_on_what_is_on_changes_nothing(machine: Hardware) -> None:
    """A controller may be asked twice."""
    first = _on(machine)
    assert _on(machine) == first


def test_a_machine_can_be_switched_off_and_on_again(machine: Hardware) -> None:
    """The file of the process that was killed is in nobody's way."""
    first = _on(machine)
    power_off(machine)
    assert pid(machine) is None
    power_off(machine)
    assert _on(machine) != first


def test_a_recycled_pid_is_not_the_machine(machine: Hardware) -> None:
    """A stranger with the number of a machine that has ended is never killed."""
    power_on(machine, network_boot=True)
    power_off(machine)
    machine.pid_file.write_text(str(os.getpid()))
    assert pid(machine) is None
    power_off(machine)


def test_what_the_emulator_says_is_told(machine: Hardware) -> None:
    """A machine that can't start is a fault with words."""
    _on(machine)
    other = machine.pid_file.read_text()
    machine.pid_file.write_text("")  # as if it were not known yet: the lock still holds
    with pytest.raises(MachineFailed, match="cannot create PID file"):
        power_on(machine, network_boot=True)
    machine.pid_file.write_text(other)


def test_the_console_says_when_power_came(machine: Hardware) -> None:
    """Boots can be told apart."""
    _on(machine)
    power_off(machine)
    _on(machine)
    assert Path(machine.console).read_text().count("=== metal-9: power on") == 2


def test_a_machine_without_a_disk_boots_from_the_network_only_when_told(machine: Hardware) -> None:
    """Its firmware finds nothing else."""
    assert "order=n,strict=on" in command(machine, network_boot=True)
    assert "order=c,strict=on" in command(machine, network_boot=False)
    assert not any("-drive" in word for word in command(machine, network_boot=True))


def test_an_arm64_machine_boots_from_the_network_by_its_card_alone(
    machine: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UEFI has no order on the command line: the card is the first to boot from, or none is."""
    monkeypatch.setattr("devcloud.plugins.colobus_devcloud_machines.FIRMWARE_ARM64", tmp_path)
    (tmp_path / "AAVMF_VARS.fd").write_text("variables")
    Path(machine.folder).mkdir()
    arm64 = replace(machine, arch="aarch64")
    argv = command(arm64, network_boot=True)
    assert argv[0] == "qemu-system-aarch64"
    assert argv[argv.index("-machine") + 1] == "virt"
    assert any(word.endswith("romfile=,bootindex=0") for word in argv)
    assert not any("bootindex" in word for word in command(arm64, network_boot=False))


def test_no_two_machines_share_a_name_or_an_address() -> None:
    """Neither on the network nor at the controller."""
    for facts in ("name", "mac", "host", "system_id"):
        assert len({getattr(machine, facts) for machine in ALL_MACHINES}) == len(ALL_MACHINES)
