"""Ceph's settings: users and what each may do, where keys are, ceph.conf."""

from __future__ import annotations

import uuid
from pathlib import Path

from devcloud.cephx import Capabilities, cephx_key
from devcloud.ini import Sections
from devcloud.ports import HOST, OSD_PORTS
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
