"""What machines boot: the image `tiny`, built here and given to Ceph as its operator would."""

from __future__ import annotations

import sys
from typing import ClassVar

from colobus.golden_names import SNAPSHOT, golden_image
from devcloud.ceph_settings import POOL, WORKER, conf_path
from devcloud.component import Component
from devcloud.components.ceph import IMPATIENT, CephMon
from devcloud.components.colobus import python_environment
from devcloud.images import TinyImage
from devcloud.tools import ToolFailed


class GoldenImage(Component):
    """A golden image for machines. One that is there stays, however old: disks are copies of it."""

    name = "golden-image"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("ceph",)
    packages: ClassVar[tuple[str, ...]] = TinyImage.tools

    def configured(self) -> bool:
        """Tell whether Ceph has it; it gets this name only when it is whole."""
        if self.site.processes.pid(CephMon.name) is None:
            return False
        where = [f"--conf={conf_path(self.site)}", f"--name={WORKER}", *IMPATIENT]
        wanted = f"{POOL}/{golden_image(TinyImage.name)}@{SNAPSHOT}"
        try:
            self.site.tools.read(["rbd", *where, "info", wanted])
        except ToolFailed:
            return False
        return True

    def configure(self) -> None:
        """Build it, unless it is in the cache, and import it."""
        file = TinyImage(self.site).build()
        user = WORKER.removeprefix("client.")
        where = [
            f"--ceph-conf={conf_path(self.site)}",
            f"--ceph-pool={POOL}",
            f"--ceph-user={user}",
        ]
        command = [sys.executable, "-m", "colobus", "image", *where, "import", str(file)]
        self.site.tools.run(
            self.name,
            [*command, f"--name={TinyImage.name}"],
            as_caller=True,  # who can read the cache, and the keyring
            environment=python_environment(),
        )
