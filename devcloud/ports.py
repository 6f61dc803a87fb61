"""Which TCP ports, all on 127.0.0.1, belong to this cloud: fixed offsets over one base."""

from __future__ import annotations

import errno
import fcntl
import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
FIRST_BASE = 21_000
SPAN = 100
LAST_BASE = 29_900  # stay below the kernel's ephemeral range (32768 and up)
OSD_PORTS = 12

OFFSETS: dict[str, int] = {
    "rabbitmq": 0,
    "rabbitmq-management": 1,
    "rabbitmq-distribution": 2,
    "rabbitmq-epmd": 3,
    "postgresql": 5,
    "mariadb": 6,
    "cloud-rabbitmq": 10,
    "cloud-rabbitmq-distribution": 12,
    "cloud-rabbitmq-epmd": 13,
    "keystone": 20,
    "placement": 21,
    "glance": 22,
    "nova-api": 23,
    "neutron": 24,
    "ironic": 25,
    "bmc": 26,
    "bmc-arm64": 27,
    "heat-api": 28,
    "magnum-api": 30,
    "octavia-api": 31,
    "front_door": 40,
    "scheduler": 41,
    "vm_worker": 42,
    "webhook_worker": 43,
    "webhook-receiver": 44,
    "iscsi_worker": 45,
    "baremetal_worker": 46,
    "stack_worker": 47,
    "k8s_worker": 48,
    "ceph-mon": 50,
    # An OSD takes the first free ones of its range, and others when it binds anew.
    **{f"ceph-osd-{number}": 51 + number for number in range(OSD_PORTS)},
    "tgt": 65,
    "ceph-iscsi": 66,
}


class NoFreePorts(RuntimeError):
    """Every range of ports is claimed by another cloud or in use."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one cloud."""

    base: int

    def __getitem__(self, name: str) -> int:
        return self.base + OFFSETS[name]

    def url(self, name: str, path: str = "") -> str:
        """Return the HTTP address of a listener."""
        return f"http://{HOST}:{self[name]}{path}"


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def pick_base(claimed: Iterable[int], free: Callable[[int], bool] = is_free) -> int:
    """Return the first base that no other cloud has claimed and whose ports are all free.

    Args:
        claimed: Bases of other clouds. They count even while those clouds are down.
        free: Tells whether one port is free.
    """
    taken = set(claimed)
    for base in range(FIRST_BASE, LAST_BASE + 1, SPAN):
        if base not in taken and all(free(base + offset) for offset in OFFSETS.values()):
            return base
    raise NoFreePorts(f"no free range of ports between {FIRST_BASE} and {LAST_BASE + SPAN}")


def load(state: Path) -> Ports | None:
    """Return the ports this cloud got earlier, if any."""
    try:
        return Ports(base=int(json.loads((state / "ports.json").read_text())["base"]))
    except FileNotFoundError:
        return None


def claim(state: Path, cache: Path) -> Ports:
    """Return this cloud's ports, choosing and recording them the first time.

    The cache keeps who claimed what, since a cloud that is down leaves its ports looking free.
    """
    if (known := load(state)) is not None:
        return known
    claims = cache / "ports"
    claims.mkdir(parents=True, exist_ok=True)
    with (claims / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [int(entry.name) for entry in claims.glob("[0-9]*") if _still_held(entry, state)]
        ports = Ports(base=pick_base(others))
        (claims / str(ports.base)).write_text(f"{state}\n")
        (state / "ports.json").write_text(json.dumps({"base": ports.base}) + "\n")
    return ports


def _still_held(entry: Path, own_state: Path) -> bool:
    holder = Path(entry.read_text().strip())
    if holder == own_state:
        return False
    held = load(holder)
    return held is not None and held.base == int(entry.name)
