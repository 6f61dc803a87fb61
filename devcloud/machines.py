"""The machines of this cloud: diskless, with a network card and a board that switches them."""

from __future__ import annotations

import platform
import uuid
from dataclasses import dataclass
from pathlib import Path

from devcloud.site import Site

_NAMES = uuid.UUID("6f8a37e6-2d9c-4c53-9d2b-0c0105b05000")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine as its maker's label has it."""

    number: int
    arch: str = platform.machine()
    memory_mib: int = 512
    resource_class: str = "diskless"

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return f"metal-{self.number}"

    @property
    def system_id(self) -> str:
        """What its board calls it."""
        return str(uuid.uuid5(_NAMES, self.name))

    @property
    def mac(self) -> str:
        """The address of its network card; locally administered, as QEMU's are."""
        return f"52:54:00:c0:b0:{self.number:02x}"

    @property
    def host(self) -> int:
        """The number of its address in the provisioning network."""
        return 10 + self.number

    @property
    def boot_mode(self) -> str:
        """How its firmware boots."""
        return "bios" if self.arch == "x86_64" else "uefi"


MACHINES = tuple(Machine(number) for number in (1, 2, 3))
#: One more, which comes up only where it is asked for. It is of a class of its own, so that nobody
#: gets it who has not named it.
ARM64 = Machine(4, arch="aarch64", resource_class="diskless-arm64")
ALL_MACHINES = (*MACHINES, ARM64)


def console(site: Site, machine: Machine) -> Path:
    """Return the log of a machine's serial console, of all its boots."""
    return site.paths.log / f"{machine.name}-console.log"


def run_folder(site: Site) -> Path:
    """Return where what belongs to running machines is."""
    return site.paths.run / "machines"
