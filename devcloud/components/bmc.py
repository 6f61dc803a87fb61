"""The machines' board management controllers: Redfish, as Ironic's driver speaks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import devcloud.plugins
from devcloud.cloud_venv import venv_path
from devcloud.component import Component, answers_http
from devcloud.machines import ARM64, MACHINES, Machine, console, run_folder
from devcloud.openstack_service import environment
from devcloud.plugins.colobus_devcloud_machines import Hardware, power_off
from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.provisioning import network_of
from devcloud.site import Site

USER = "operator"
PLUGINS = ("colobus_devcloud_bmc", "colobus_devcloud_machines")
EMULATORS = {
    "x86_64": ("qemu-system-x86", "ipxe-qemu"),
    "aarch64": ("qemu-system-arm", "qemu-efi-aarch64"),
}


def emulators(machines: Sequence[Machine]) -> tuple[str, ...]:
    """Return the Debian packages that emulate these machines."""
    return tuple(sorted({package for m in machines for package in EMULATORS[m.arch]}))


def hardware(site: Site, machine: Machine) -> Hardware:
    """Return what a machine is made of here."""
    return Hardware(
        name=machine.name,
        system_id=machine.system_id,
        mac=machine.mac,
        tap=machine.name,
        arch=machine.arch,
        memory_mib=machine.memory_mib,
        console=str(console(site, machine)),
        folder=str(run_folder(site)),
    )


class Bmc(Component):
    """One Redfish service for all machines. Killed, it leaves them running, and knows them again.

    Stopping it switches them off: they are part of it to whoever stops the cloud.
    """

    name = "bmc"
    main_port = "bmc"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("provisioning-network",)
    needs_cloud_venv = True
    machines: ClassVar[tuple[Machine, ...]] = MACHINES
    packages: ClassVar[tuple[str, ...]] = emulators(machines)

    def render(self) -> None:
        """Write what the emulator shall know of the machines."""
        site = self.site
        for plugin in PLUGINS:
            site.install_plugin(Path(devcloud.plugins.__file__).with_name(f"{plugin}.py"))
        site.account.own(run_folder(site))
        settings = {
            "user": USER,
            "password": site.credentials[self.name],
            "folder": str(site.account.own(site.paths.data / self.name)),
            "machines": [asdict(hardware(site, machine)) for machine in self.machines],
        }
        site.write_config(f"{self.name}.json", json.dumps(settings, indent=1) + "\n")

    def daemons(self) -> Sequence[Daemon]:
        """Return the emulator: inside the network, where its machines are, but heard outside."""
        python = str(venv_path(self.site) / "bin" / "python")
        program = str(self.site.paths.plugins / "colobus_devcloud_bmc.py")
        return (
            Daemon(
                self.name,
                [python, program, str(self.site.paths.etc / f"{self.name}.json")],
                environment(self.site),
                enter=network_of(self.site).enter,
                listen=(HOST, self.site.ports[self.name]),
            ),
        )

    def start(self) -> None:
        """Plug the machines in, and start the emulator."""
        for machine in self.machines:
            network_of(self.site).add_tap(machine.name)
        super().start()

    def ready(self) -> bool:
        """Tell whether the service answers."""
        return self.running() and answers_http(self.site.ports[self.name], "/redfish/v1/")

    def stop(self) -> None:
        """Stop the emulator, then pull every machine's power."""
        super().stop()
        for machine in self.machines:
            power_off(hardware(self.site, machine))


class Arm64Bmc(Bmc):
    """The same for the machine that is of another architecture than most hosts."""

    name = main_port = "bmc-arm64"
    machines: ClassVar[tuple[Machine, ...]] = (ARM64,)
    packages: ClassVar[tuple[str, ...]] = emulators(machines)
