"""Ceph: one monitor and one OSD, with a pool for Colobus' volumes.

There is no manager: RBD needs none. So the cluster can't say how full its pools are.
"""

from __future__ import annotations

from typing import ClassVar

from devcloud.ceph_daemon import CephDaemon, administer
from devcloud.ceph_settings import (
    CAPABILITIES,
    MON,
    OSD,
    POOL,
    WORKER,
    conf_path,
    entity_key,
    identity,
)
from devcloud.cephx import render_keyring
from devcloud.component import Component
from devcloud.ports import HOST
from devcloud.tools import ToolFailed

#: Without these a client waits for ever for a cluster that is down.
IMPATIENT = ("--client-mount-timeout=3", "--rados-mon-op-timeout=3", "--rados-osd-op-timeout=3")


class CephMon(CephDaemon):
    """The monitor, which knows of the cluster's parts and users."""

    name = main_port = "ceph-mon"
    entity = MON
    status_command = "mon_status"
    ready_states: ClassVar[tuple[str, ...]] = ("leader",)

    def make_store(self) -> None:
        """Make the store; its first keyring names everybody and what they may do."""
        keys = {entity: entity_key(self.site, entity) for entity in CAPABILITIES}
        first = self.site.write_config("ceph/first.keyring", render_keyring(keys, CAPABILITIES))
        monmap = str(self.data.parent / "monmap")
        name, address = MON.split(".")[1], f"[v2:{HOST}:{self.site.ports[self.name]}]"
        make = ["monmaptool", "--create", "--clobber", f"--fsid={identity(self.site, 'fsid')}"]
        self.site.tools.run(self.name, [*make, "--addv", name, address, monmap])
        options = ["--mkfs", f"--monmap={monmap}", f"--keyring={first}"]
        self.site.tools.run(self.name, [*self.command(), *options])
        (self.site.paths.etc / "ceph" / "first.keyring").unlink()


class CephOsd(CephDaemon):
    """The OSD, which stores the data, in a sparse file (BlueStore): it survives a SIGKILL."""

    name = "ceph-osd"
    requires: ClassVar[tuple[str, ...]] = ("ceph-mon",)
    entity = OSD
    status_command = "status"
    ready_states: ClassVar[tuple[str, ...]] = ("active",)

    def make_store(self) -> None:
        """Make the store, and have the monitor know it."""
        own = identity(self.site, OSD)
        administer(self, "ceph", "osd", "new", own, OSD.split(".")[1])
        self.site.tools.run(self.name, [*self.command(), "--mkfs", f"--osd-uuid={own}"])


class Ceph(Component):
    """The pool of Colobus' volumes; all of Ceph, for `up ceph`."""

    name = "ceph"
    requires: ClassVar[tuple[str, ...]] = ("ceph-osd",)
    # For whoever imports them: rados and rbd come with the distribution only.
    packages: ClassVar[tuple[str, ...]] = ("ceph-common", "python3-rados", "python3-rbd")
    by_default = False

    def configured(self) -> bool:
        """Tell whether the pool was made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the pool, unless an interrupted attempt has."""
        administer(self, "ceph", "osd", "pool", "create", POOL)
        administer(self, "rbd", "pool", "init", POOL)
        self.site.mark_done(self.name)

    def ready(self) -> bool:
        """Tell whether a service can list the pool's images."""
        ask = ["rbd", f"--conf={conf_path(self.site)}", f"--name={WORKER}", *IMPATIENT, "ls", POOL]
        try:
            self.site.tools.read(ask)
        except ToolFailed:
            return False
        return self.configured()
