"""The machines of this cloud, known to Ironic and written down for `colobus node enroll`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from colobus.nodes.enrolment import enrol
from colobus.nodes.node_list import load_nodes
from devcloud.component import Component
from devcloud.components.bmc import Arm64Bmc, Bmc
from devcloud.components.provisioning_network import tftp_root
from devcloud.images import debs
from devcloud.images.archive import lists_of
from devcloud.keystone_client import connect_admin
from devcloud.nodes import machines, write

#: The release whose iPXE has one for arm64, which Debian 12's has not.
LOADER_FROM = "trixie"
LOADER = "ipxe-arm64.efi"


class BareMetal(Component):
    """Everything that a diskless machine needs but its volume. Repeating it changes nothing."""

    name = "bare-metal"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("ironic", "bmc")
    wants: ClassVar[tuple[str, ...]] = ("tgt",)  # who offers the volume
    bmc: ClassVar[type[Bmc]] = Bmc

    @property
    def nodes_yaml(self) -> Path:
        """The operator's list of these machines."""
        return self.site.paths.nodes_yaml

    def render(self) -> None:
        """Write the list."""
        write(self.site, self.nodes_yaml, self.bmc.name, self._entries())

    def configured(self) -> bool:
        """Tell whether the machines of now were enrolled."""
        return self.site.is_done(self._step())

    def configure(self) -> None:
        """Enrol them."""
        enrol(connect_admin(self.site, system=True).baremetal, load_nodes(self.nodes_yaml))
        self.site.mark_done(self._step())

    def _entries(self) -> list[dict[str, Any]]:
        url = self.site.ports.url(self.bmc.name)
        return machines(url, self.bmc.machines, f"{self.bmc.name}.yaml")

    def _step(self) -> str:
        digest = hashlib.sha256(repr(self._entries()).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


class Arm64BareMetal(BareMetal):
    """The machine for arm64, with the boot loader that its firmware asks for."""

    name = "bare-metal-arm64"
    requires: ClassVar[tuple[str, ...]] = ("ironic", "bmc-arm64")
    bmc: ClassVar[type[Bmc]] = Arm64Bmc

    @property
    def nodes_yaml(self) -> Path:
        """The operator's list of it alone."""
        return self.site.paths.nodes_yaml.with_name("nodes-arm64.yaml")

    def configured(self) -> bool:
        """Tell whether the loader is there, too."""
        return super().configured() and (tftp_root(self.site) / LOADER).exists()

    def configure(self) -> None:
        """Put the loader where firmware finds it, then enrol."""
        target = tftp_root(self.site) / LOADER
        if not target.exists():
            with TemporaryDirectory() as temporary:
                folder = Path(temporary)
                options = lists_of(folder / "apt", LOADER_FROM)
                root = debs.unpack(debs.resolve(["ipxe"], options), folder, options)
                (found,) = root.rglob(LOADER)
                shutil.copyfile(found, target)
                target.chmod(0o644)
        super().configure()
