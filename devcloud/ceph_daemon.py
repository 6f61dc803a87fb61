"""What Ceph's daemons and clients have in common: users, keyrings, settings, the admin socket.

Monitor and OSD run as the daemons' user. The administrator's key is only for whoever calls us.
"""

from __future__ import annotations

import json
import socket
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from devcloud.cephx import Capabilities, cephx_key, render_keyring
from devcloud.component import Component
from devcloud.credentials import write_private
from devcloud.ini import Sections, render_ini
from devcloud.ports import HOST, OSD_PORTS
from devcloud.processes import Daemon
from devcloud.site import Site

POOL = "colobus"
ADMIN = "client.admin"
#: For Colobus' services, and for the iSCSI target.
WORKER, TARGET = "client.colobus-iscsi", "client.colobus-tgt"
MON, OSD = "mon.a", "osd.0"

RBD_ONLY: Capabilities = {"mon": "profile rbd", "osd": f"profile rbd pool={POOL}"}
CAPABILITIES: dict[str, Capabilities] = {
    "mon.": {"mon": "allow *"},  # all monitors are one entity
    OSD: {"mon": "allow profile osd", "osd": "allow *"},
    ADMIN: {"mon": "allow *", "osd": "allow *"},
    # The images of one pool, and to lock out a dead client that still holds one.
    WORKER: RBD_ONLY,
    TARGET: RBD_ONLY,
}
#: The most that can be stored. The file is sparse: only what is written takes room.
STORE_SIZE = "64G"


def conf_path(site: Site) -> Path:
    """Return the settings of daemons and clients; they name keyrings and hold no key."""
    return site.paths.etc / "ceph" / "ceph.conf"


def keyring_path(site: Site, entity: str) -> Path:
    """Return where an entity's key is."""
    return site.paths.etc / "ceph" / f"{entity}.keyring"


def entity_key(site: Site, entity: str) -> str:
    """Return an entity's key; it stays the same when the cluster is made anew."""
    return cephx_key(site.credentials[f"ceph-{entity}"])


def identity(site: Site, name: str) -> str:
    """Return the UUID of the cluster (`fsid`) or of an OSD."""
    return str(uuid.UUID(hex=site.credentials[f"ceph-{name}-uuid"][:32], version=4))


def settings(site: Site) -> Sections:
    """Return ceph.conf."""
    data, run = site.paths.data / "ceph", site.paths.run / "ceph"
    clients: Sections = {
        name: {"keyring": str(keyring_path(site, name))} for name in (ADMIN, WORKER, TARGET)
    }
    # What initiators were told is written must be so when the target is killed the next moment.
    clients[TARGET]["rbd cache"] = False
    return {
        "global": {
            "fsid": identity(site, "fsid"),
            "mon host": f"[v2:{HOST}:{site.ports['ceph-mon']}/0]",
            "public addr": HOST,
            "cluster addr": HOST,
            "ms bind msgr1": False,
            "ms bind port min": site.ports["ceph-osd-0"],
            "ms bind port max": site.ports[f"ceph-osd-{OSD_PORTS - 1}"],
            "auth cluster required": "cephx",
            "auth service required": "cephx",
            "auth client required": "cephx",
            "auth allow insecure global id reclaim": False,
            "run dir": str(run),
            "admin socket": str(run / "$name.$pid.asok"),
            "log to file": False,
            "log to stderr": True,
            "mon cluster log to file": False,
            "debug rocksdb": 1,
            # An only OSD has no peers to miss it. This also bounds for how long it may be paused:
            # without peers nobody renews the lease under which its placement groups are read.
            "osd heartbeat grace": 3600,
        },
        "mon": {
            "mon data": str(data / MON),
            "mon data avail warn": 2,
            "mon data avail crit": 1,
            "mon allow pool size one": True,
            "mon allow pool delete": True,
            "mon warn on pool no redundancy": False,
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd pool default pg num": 8,
            "osd pool default pg autoscale mode": "off",
            # Else a change of the cluster's maps, such as a snapshot, takes a second.
            "paxos propose interval": 0.02,
            "paxos min wait": 0.01,
        },
        "osd": {
            "osd data": str(data / OSD),
            "keyring": str(keyring_path(site, OSD)),
            "osd objectstore": "bluestore",
            "bluestore block size": STORE_SIZE,
            "bluestore cache autotune": False,  # its target can't be less than 896 MiB
            "bluestore cache size": "128M",
            "osd client watch timeout": 5,  # how long the image of a dead client is in use
        },
        "client": {"admin socket": "", "log to stderr": False},
        **clients,
    }


class CephDaemon(Component):
    """One of the cluster's processes."""

    packages: ClassVar[tuple[str, ...]] = ("ceph-mon", "ceph-osd", "ceph-common")
    by_default = False
    entity: ClassVar[str]
    ready_states: ClassVar[tuple[str, ...]]
    status_command: ClassVar[str]

    @property
    def data(self) -> Path:
        """Return the folder of what it stores."""
        return self.site.paths.data / "ceph" / self.entity

    def render(self) -> None:
        """Write ceph.conf and the keyrings."""
        self.site.account.own(self.site.paths.run / "ceph")
        self.site.write_config("ceph/ceph.conf", render_ini(settings(self.site)))
        for entity in (OSD, WORKER, TARGET):
            self.site.write_config(f"ceph/{entity}.keyring", self._keyring(entity))
        write_private(keyring_path(self.site, ADMIN), self._keyring(ADMIN))

    def configured(self) -> bool:
        """Tell whether its store was made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the store, from nothing, so a broken attempt does no harm."""
        self.site.account.own(self.data.parent)
        self.site.tools.run(self.name, ["rm", "-rf", str(self.data)])
        self.site.account.own(self.data)
        self.make_store()
        self.site.mark_done(self.name)

    def make_store(self) -> None:
        """Fill the empty folder `data`."""
        raise NotImplementedError

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        return (Daemon(self.name, [*self.command(), "-f"]),)

    def command(self) -> list[str]:
        """Return how the program is called."""
        return [self.name, f"--conf={conf_path(self.site)}", f"--name={self.entity}"]

    def start(self) -> None:
        """Start the process; without the sockets that killed ones left behind."""
        if not self.running():
            for stale in (self.site.paths.run / "ceph").glob(f"{self.entity}.*.asok"):
                stale.unlink(missing_ok=True)
        super().start()

    def ready(self) -> bool:
        """Tell whether the daemon says that it has its place in the cluster."""
        pid = self.site.processes.pid(self.name)
        if pid is None:
            return False
        where = self.site.paths.run / "ceph" / f"{self.entity}.{pid}.asok"
        try:
            answer = ask_daemon(where, self.status_command)
        except (OSError, EOFError, json.JSONDecodeError):
            return False
        return answer.get("state") in self.ready_states

    def _keyring(self, entity: str) -> str:
        return render_keyring({entity: entity_key(self.site, entity)}, {})


def administer(component: Component, program: str, *arguments: str) -> None:
    """Run a command as the cluster's administrator; it waits for the cluster."""
    argv = [program, f"--conf={conf_path(component.site)}", f"--name={ADMIN}", *arguments]
    component.site.tools.run(component.name, argv, as_caller=True)


def ask_daemon(socket_path: Path, command: str) -> dict[str, Any]:
    """Return a daemon's answer to a command on its admin socket.

    The protocol: a JSON object that ends in a zero byte; the answer after its length in 4 bytes.
    While the daemon doesn't know the command yet, the answer is a text and no JSON.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(str(socket_path))
        connection.sendall(json.dumps({"prefix": command}).encode() + b"\0")
        with connection.makefile("rb") as stream:
            length = stream.read(4)
            if len(length) < 4:
                raise EOFError(f"{socket_path} closed without an answer")
            answer: dict[str, Any] = json.loads(stream.read(*struct.unpack(">I", length)))
            return answer
