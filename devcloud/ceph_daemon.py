"""What Ceph's daemons have in common: rendering, making a store from nothing, the admin socket.

They run as the daemons' user. The administrator's key is only for whoever calls us.
"""

from __future__ import annotations

import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from devcloud.ceph_settings import (
    ADMIN,
    OSD,
    TARGET,
    WORKER,
    conf_path,
    entity_key,
    keyring_path,
    settings,
)
from devcloud.cephx import render_keyring
from devcloud.component import Component
from devcloud.credentials import write_private
from devcloud.ini import render_ini
from devcloud.processes import Daemon


class CephDaemon(Component, ABC):
    """One of the cluster's processes."""

    packages: ClassVar[tuple[str, ...]] = ("ceph-mon", "ceph-osd", "ceph-common")
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

    @abstractmethod
    def make_store(self) -> None:
        """Fill the empty folder `data`."""

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
