"""A plain iSCSI target on the provisioning network: tgtd with files as its disks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcloud.provisioning import Network
from tests.support.conditions import eventually_sync

#: Not the usual 3260, which the developer cloud's own target has.
PORT = 3270
_SESSION = re.compile(r"I_T nexus: (\d+)\n\s+Initiator: (\S+) alias: (.*)")


@dataclass(frozen=True, slots=True)
class Session:
    """One login that a target holds, as tgtadm shows it."""

    nexus: int
    """Counts up with each login, from 1 when tgtd starts."""
    initiator: str
    alias: str

    @property
    def of_firmware(self) -> bool:
        """Tell whether iPXE logged in: it tells no alias, which open-iscsi always does."""
        return self.alias == "none"


@dataclass(frozen=True, slots=True)
class Target:
    """One tgtd and how to administer it."""

    folder: Path

    def export(
        self, number: int, iqn: str, disks: list[Path], user: str, password: str, initiator: str
    ) -> None:
        """Offer disks as LUN 1, 2, … to one initiator that knows the password."""
        tid = ["--tid", str(number)]
        self.admin("new", "target", *tid, "--targetname", iqn)
        for lun, disk in enumerate(disks, start=1):
            backing = ["--lun", str(lun), "--backing-store", str(disk)]
            self.admin("new", "logicalunit", *tid, *backing)
        self.admin("new", "account", "--user", user, "--password", password)
        self.admin("bind", "account", *tid, "--user", user)
        self.admin("bind", "target", *tid, "--initiator-name", initiator)

    def withdraw(self, number: int, user: str) -> None:
        """Take a target away, sessions or not."""
        self.admin("delete", "target", "--force", "--tid", str(number))
        self.admin("delete", "account", "--user", user)

    def shown(self) -> str:
        """Return what tgtadm shows of all targets."""
        return self.admin("show", "target")

    def sessions(self) -> list[Session]:
        """Return the logins that are held now."""
        return [Session(int(n), i, a.strip()) for n, i, a in _SESSION.findall(self.shown())]

    def admin(self, operation: str, mode: str, *options: str) -> str:
        """Run tgtadm and return what it prints."""
        argv = ["tgtadm", "--lld", "iscsi", "--op", operation, "--mode", mode, *options]
        done = subprocess.run(
            argv, env=_environment(self.folder), capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout


@contextmanager
def serving(network: Network, folder: Path) -> Iterator[Target]:
    """Run a tgtd at this machine's own address there; all its targets are gone at the end."""
    # Patient: on a busy host an emulated processor may stand still for longer than 15 seconds.
    portal = f"portal={network.portal}:{PORT},nop_interval=5,nop_count=12"
    argv = ["tgtd", "--foreground", "--iscsi", portal]
    log = folder / "tgtd.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv, env=_environment(folder), stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            target = Target(folder)
            eventually_sync(
                lambda: process.poll() is None and (folder / "socket.0").exists(), what="tgtd"
            )
            yield target
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it ignores anything else while it has targets


def _environment(folder: Path) -> dict[str, str]:
    return {"TGT_IPC_SOCKET": str(folder / "socket"), "PATH": os.environ["PATH"]}
