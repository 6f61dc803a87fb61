"""Machines as QEMU processes without a disk: emulated in software, booted over their network.

WHAT IS REPLACED: hardware. QEMU emulates the processor (TCG), since hosts such as this offer no KVM
to nested guests, the firmware is QEMU's own, and pulling the power is SIGKILL.

A machine outlives whoever switched it on. What is switched on is known by QEMU's pid file: QEMU
holds a lock on it, so a second process for the same machine can't come up, whoever starts it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FIRMWARE_ARM64 = Path("/usr/share/AAVMF")
START_WITHIN = 60.0
STOP_WITHIN = 10.0


class MachineFailed(RuntimeError):
    """A machine did not do what it was told; the message holds QEMU's words."""


@dataclass(frozen=True)
class Hardware:
    """What one machine is made of and where its files are."""

    name: str
    system_id: str
    mac: str
    tap: str
    arch: str
    memory_mib: int
    console: str
    folder: str

    @property
    def pid_file(self) -> Path:
        """QEMU's, locked while it runs."""
        return Path(self.folder) / f"{self.name}.pid"


def pid(machine: Hardware) -> int | None:
    """Return the process that is this machine, if it is on.

    A number that has become another process's is told by its command line.
    """
    try:
        number = int(machine.pid_file.read_text())
        arguments = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return number if str(machine.pid_file).encode() in arguments else None


def power_on(machine: Hardware, network_boot: bool) -> None:
    """Switch it on; nothing happens if it is."""
    if pid(machine) is not None:
        return
    Path(machine.folder).mkdir(exist_ok=True)
    with Path(machine.console).open("a") as console:
        console.write(f"\n=== {machine.name}: power on, {time.strftime('%F %T')} ===\n")
    argv = command(machine, network_boot)
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=START_WITHIN,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise MachineFailed(f"{machine.name}: {done.stderr.strip()[-300:]}")


def power_off(machine: Hardware) -> None:
    """Pull its power."""
    number = pid(machine)
    if number is None:
        return
    try:
        handle = os.pidfd_open(number)
    except ProcessLookupError:
        return
    try:
        if pid(machine) == number:  # still this one, now that the handle is on it
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], STOP_WITHIN)[0]:
                raise MachineFailed(f"{machine.name}: process {number} outlived SIGKILL")
    finally:
        os.close(handle)


def command(machine: Hardware, network_boot: bool) -> Sequence[str]:
    """Return QEMU's command line; it leaves for the background once the machine runs."""
    board = _arm64(machine) if machine.arch == "aarch64" else _x86(network_boot)
    card = f"virtio-net-pci,netdev=lan,mac={machine.mac}"
    if machine.arch == "aarch64":
        card += ",romfile=" + (",bootindex=0" if network_boot else "")
    return [
        f"qemu-system-{machine.arch}", "-name", machine.name, *board,
        "-accel", "tcg,tb-size=128", "-m", str(machine.memory_mib), "-smp", "1",
        "-nodefaults", "-display", "none", "-device", "virtio-rng-pci",
        "-netdev", f"tap,id=lan,ifname={machine.tap},script=no,downscript=no", "-device", card,
        "-chardev", f"file,id=console,path={machine.console},append=on",
        "-serial", "chardev:console",
        "-pidfile", str(machine.pid_file), "-daemonize",
    ]  # fmt: skip


def _x86(network_boot: bool) -> list[str]:
    order = "n" if network_boot else "c"
    return ["-machine", "pc,graphics=off", "-boot", f"order={order},strict=on"]


def _arm64(machine: Hardware) -> list[str]:
    variables = Path(machine.folder) / f"{machine.name}.fd"
    shutil.copy(FIRMWARE_ARM64 / "AAVMF_VARS.fd", variables)
    code = FIRMWARE_ARM64 / "AAVMF_CODE.fd"
    flash = ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
    flash += ["-drive", f"if=pflash,format=raw,file={variables}"]
    return ["-machine", "virt", "-cpu", "cortex-a57", *flash]
