"""The provisioning network: where machines are switched on and boot from, and nothing else is.

It is a network namespace of this cloud's own with a bridge in it. No route leads in or out: iPXE's
boot scripts carry CHAP secrets over plain HTTP, so nobody else may be on it. What serves machines
(DHCP, boot files, the iSCSI target) runs inside, see `Network.enter`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.account import Account
from devcloud.site import Site

#: The same in every cloud: each has a namespace of its own.
GATEWAY, PREFIX = "172.31.0.1", 24
FIRST_LEASE, LAST_LEASE = "172.31.0.100", "172.31.0.199"
IPV6_NETWORK, IPV6_GATEWAY = "fd00:c010:b05::", "fd00:c010:b05::1"
HTTP_PORT = 8080
ISCSI_PORT = 3260
BRIDGE = "machines"
NAMESPACES = Path("/run/netns")
TUN = Path("/dev/net/tun")


class NeedsRoot(RuntimeError):
    """Only root may make network namespaces."""


@dataclass(frozen=True, slots=True)
class Network:
    """One cloud's provisioning network."""

    name: str
    account: Account

    @property
    def enter(self) -> list[str]:
        """Return what goes before a command to run it inside; the process id stays the same."""
        return ["nsenter", f"--net={NAMESPACES / self.name}", "--"]

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` inside, as the daemons' user."""
        return [*self.enter, *self.account.command(argv)]

    def exists(self) -> bool:
        """Tell whether it was made since the machine was last started, to its last address."""
        shown = self._ip("-o", "address", "show", "dev", BRIDGE, check=False)
        return GATEWAY in shown and IPV6_GATEWAY in shown

    def create(self) -> None:
        """Make whatever of it is missing."""
        if os.geteuid() != 0:
            raise NeedsRoot(
                "bare metal needs a network namespace, which only root can make: "
                "run this command as root, or leave bare metal out"
            )
        if self.exists():
            return
        if not (NAMESPACES / self.name).exists():
            _run(["ip", "netns", "add", self.name])
        self._ip("link", "set", "lo", "up")
        self._ip("link", "del", BRIDGE, check=False)  # an attempt that was interrupted
        # Machines boot at once, so neither ports nor groups may take their time to be learned.
        options = ["forward_delay", "0", "mcast_snooping", "0"]
        self._ip("link", "add", BRIDGE, "type", "bridge", *options)
        self._ip("link", "set", BRIDGE, "up")
        self._ip("address", "add", f"{GATEWAY}/{PREFIX}", "dev", BRIDGE)
        self._ip("-6", "address", "add", f"{IPV6_GATEWAY}/64", "dev", BRIDGE, "nodad")

    def add_tap(self, device: str) -> None:
        """Make one machine's network device, which the daemons' user may open.

        The file that leads to such devices is open to all wherever udev runs: the kernel asks for
        rights to the single device. In a container without udev only root could come so far.
        """
        TUN.chmod(0o666)
        if device not in self._ip("-o", "link", "show", "master", BRIDGE):
            self._ip("tuntap", "del", "dev", device, "mode", "tap", check=False)
            user = str(self.account.uid)
            self._ip("tuntap", "add", "dev", device, "mode", "tap", "user", user)
            self._ip("link", "set", device, "master", BRIDGE, "up")

    def remove(self) -> None:
        """Forget it, unless something still runs inside."""
        if (NAMESPACES / self.name).exists() and not _run(["ip", "netns", "pids", self.name]):
            _run(["ip", "netns", "delete", self.name])

    def _ip(self, *arguments: str, check: bool = True) -> str:
        return _run(["ip", "-netns", self.name, *arguments], check=check)


def network_of(site: Site) -> Network:
    """Return this cloud's provisioning network, made or not."""
    return Network(f"colobus-{site.ports.base}", site.account)


def _run(argv: Sequence[str], *, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
