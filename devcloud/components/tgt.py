"""tgt: offers RBD images over iSCSI. The kernels that this must run on have no iSCSI target.

It keeps nothing: after a start it has no targets, and whoever exported them does so again (Colobus'
iscsi_worker). While it has none it closes every connection, which initiators take for an outage.
"""

from __future__ import annotations

import resource
import shlex
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from devcloud.component import Component
from devcloud.ports import HOST, is_free
from devcloud.processes import Daemon
from devcloud.site import Site
from devcloud.tools import ToolFailed

#: An initiator that answers none of so many questions, one each so many seconds, is gone. So many,
#: because an emulated machine may stand still for more than 15 s on a busy host, and `tiny`, which
#: boots from here, has nothing that logs in again.
NOP = "nop_interval=5,nop_count=12"
#: Threads per LUN: how many of its requests are under way at once.
IO_THREADS = 4


class PortTaken(RuntimeError):
    """Somebody else listens where targets are to be offered."""


def socket_path(site: Site) -> Path:
    """Return the value of TGT_IPC_SOCKET; the socket's own name has `.0` (the control port)."""
    return site.paths.run / "tgt.socket"


def tgtadm_path(site: Site) -> Path:
    """Return the `tgtadm` for this tgtd: it needs no variable and may be called by root too."""
    return site.paths.etc / "tgt" / "tgtadm"


def portals_path(site: Site) -> Path:
    """Return the list of portals beside the one on loopback: `address:port`, one a line.

    Who writes it gives this machine such addresses, before tgt is brought up or brought up again.
    """
    return site.paths.etc / "tgt" / "portals"


def offered_at(site: Site) -> list[str]:
    """Return all portals. The one on loopback is the last: only this machine can reach it.

    What the list says is taken if this machine has the address: it loses it when it is restarted.
    """
    more = portals_path(site)
    listed = more.read_text().split() if more.exists() else []
    return [*filter(_is_ours, listed), f"{HOST}:{site.ports[Tgt.name]}"]


def _is_ours(portal: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((portal.rpartition(":")[0], 0))
        except OSError:
            return False
    return True


def wrapper(site: Site) -> str:
    """Return the text of `tgtadm_path`.

    tgtd answers those who have its own user and group, and closes the connection to others, which
    tgtadm takes for success.
    """
    call = site.account.command(["/usr/sbin/tgtadm"])
    return (
        "#!/bin/sh\n"
        f"export TGT_IPC_SOCKET={shlex.quote(str(socket_path(site)))}\n"
        f'[ "$(id -u)" = {site.account.uid} ] || exec {shlex.join(call)} "$@"\n'
        'exec /usr/sbin/tgtadm "$@"\n'
    )


class Tgt(Component):
    """tgtd with its RBD backing store, as the daemons' user."""

    name = main_port = "tgt"
    wants: ClassVar[tuple[str, ...]] = ("ceph",)
    after: ClassVar[tuple[str, ...]] = ("provisioning-network",)  # which writes the portal there
    packages: ClassVar[tuple[str, ...]] = ("tgt", "tgt-rbd")

    def render(self) -> None:
        """Write the program to give orders with, unless it is there: it may be in use."""
        program, text = tgtadm_path(self.site), wrapper(self.site)
        if not program.exists() or program.read_text() != text:
            self.site.write_config("tgt/tgtadm", text)
            program.chmod(0o755)

    def daemons(self) -> Sequence[Daemon]:
        """Return the process.

        It ignores SIGTERM. SIGINT ends it at once, which harms nobody: what it told initiators is
        written is so, and they try to connect until it is there again.
        """
        portals = ",".join(f"portal={portal}" for portal in offered_at(self.site))
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # a LUN needs about eleven
        limit = ["prlimit", f"--nofile={'unlimited' if files < 0 else files}:"]
        argv = [*limit, "/usr/sbin/tgtd", "-f", f"-t{IO_THREADS}", "--iscsi", f"{NOP},{portals}"]
        return (Daemon(self.name, argv, self._environment(), stop_signal=signal.SIGINT),)

    def start(self) -> None:
        """Start it, or have it offer its targets at the portals of now."""
        if self.running():
            self._change_portals()
        elif not is_free(port := self.site.ports[self.name]):
            # It would listen on all addresses of the machine instead.
            raise PortTaken(f"somebody listens on port {port}")
        super().start()

    def ready(self) -> bool:
        """Tell whether it takes orders and listens where it should, and nowhere else."""
        try:
            return self.running() and self._offered() == set(offered_at(self.site))
        except ToolFailed:
            return False

    def _change_portals(self) -> None:
        try:
            known = self._offered()
        except ToolFailed:
            return  # it was started only just, and so told of all
        wanted = set(offered_at(self.site))
        changes = {"new": wanted - known, "delete": known - wanted}
        for operation, portals in changes.items():
            for portal in portals:
                order = ("--op", operation, "--mode", "portal")
                self._tgtadm(*order, "--param", f"portal={portal}")

    def _offered(self) -> set[str]:
        lines = self._tgtadm("--op", "show", "--mode", "portal").splitlines()
        return {line.removeprefix("Portal: ").rpartition(",")[0] for line in lines}

    def _tgtadm(self, *arguments: str) -> str:
        return self.site.tools.read(["tgtadm", "--lld", "iscsi", *arguments], self._environment())

    def _environment(self) -> dict[str, str]:
        return {"TGT_IPC_SOCKET": str(socket_path(self.site))}
