"""A tgtd of the tests' own: theirs to kill, pause and start again."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.iscsi_worker.stores_file import TgtAccess
from tests.support.conditions import eventually_sync

_PORT = 3


@dataclass
class Tgtd:
    """The daemon; ``socket`` is its TGT_IPC_SOCKET."""

    folder: Path
    portal: str
    ceph_conf: Path
    ceph_user: str
    #: How long an initiator may be silent, as tgtd is told it.
    nop: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def access(self) -> TgtAccess:
        """Its entry in a stores file."""
        return TgtAccess(
            socket=self.folder / "tgt",
            portals=(self.portal,),
            control_port=_PORT,
            ceph_conf=self.ceph_conf,
            ceph_user=self.ceph_user,
        )

    def start(self) -> None:
        """Start it and wait until it takes orders."""
        options = f"portal={self.portal},{self.nop}"
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # a LUN needs about eleven
        limit = ["prlimit", f"--nofile={'unlimited' if files < 0 else files}:"]
        argv = [*limit, "tgtd", "-f", "-t2", "-C", str(_PORT), "--iscsi", options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=self._environment, stdout=log, stderr=log)
        eventually_sync(lambda: "ready" in self.order("--mode", "sys", "--op", "show"), what="tgtd")

    def kill(self) -> None:
        """End it as a crash would; it forgets everything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """It hangs from now on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It hangs no more."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def order(self, *arguments: str) -> str:
        """Give it an order by hand; return what it says."""
        argv = ["tgtadm", "-C", str(_PORT), "--lld", "iscsi", *arguments]
        done = subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout + done.stderr

    def targets(self) -> str:
        """All that it offers."""
        return self.order("--mode", "target", "--op", "show")

    def accounts(self) -> list[str]:
        """All CHAP accounts that it knows."""
        return self.order("--mode", "account", "--op", "show").split()[2:]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TGT_IPC_SOCKET": str(self.folder / "tgt")}


@contextmanager
def own_tgtd(
    ceph_conf: Path,
    ceph_user: str,
    address: str = "127.0.0.1",
    nop: str = "nop_interval=1,nop_count=2",
) -> Iterator[Tgtd]:
    """A tgtd on a free port, for a while."""
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="colobus-tgt-"))  # a socket's path has to be short
    tgtd = Tgtd(folder, f"{address}:{port}", ceph_conf, ceph_user, nop)
    tgtd.start()
    try:
        yield tgtd
    finally:
        tgtd.kill()
        shutil.rmtree(folder)
