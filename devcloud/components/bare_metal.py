"""The machines of this cloud, known to Ironic and written down for `colobus node enroll`."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from colobus.nodes.enrolment import enrol
from colobus.nodes.node_list import load_nodes
from devcloud.component import Component
from devcloud.keystone_client import connect_admin
from devcloud.nodes import machines, write


class BareMetal(Component):
    """Everything that a diskless machine needs but its volume. Repeating it changes nothing."""

    name = "bare-metal"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("ironic", "bmc")
    wants: ClassVar[tuple[str, ...]] = ("tgt",)  # who offers the volume

    def render(self) -> None:
        """Write nodes.yaml."""
        write(self.site)

    def configured(self) -> bool:
        """Tell whether the machines of now were enrolled."""
        return self.site.is_done(self._step())

    def configure(self) -> None:
        """Enrol them."""
        nodes = load_nodes(self.site.paths.nodes_yaml)
        enrol(connect_admin(self.site, system=True).baremetal, nodes)
        self.site.mark_done(self._step())

    def _step(self) -> str:
        entries = repr(machines(self.site.ports.url("bmc")))
        return f"{self.name}-{hashlib.sha256(entries.encode()).hexdigest()[:12]}"
