"""Everything that components share of one cloud: folders, ports, passwords, user, processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcloud import ports as port_claims
from devcloud.account import Account, find_account
from devcloud.credentials import Credentials, write_private
from devcloud.paths import Paths
from devcloud.ports import Ports
from devcloud.processes import ProcessTable
from devcloud.tools import Tools


class NotSetUp(RuntimeError):
    """Nobody has brought up this cloud yet."""


@dataclass(frozen=True, slots=True)
class Site:
    """One developer cloud on this machine."""

    paths: Paths
    ports: Ports
    credentials: Credentials
    account: Account
    processes: ProcessTable
    tools: Tools

    @classmethod
    def open(cls, paths: Paths | None = None, *, create: bool = True) -> Site:
        """Return the cloud in these folders.

        Args:
            paths: Default: the folders that the environment names.
            create: Make the folders and claim ports where this hasn't been done; else raise
                `NotSetUp`.
        """
        where = paths or Paths.from_environment()
        if create:
            where.state.mkdir(parents=True, exist_ok=True)
            where.cache.mkdir(parents=True, exist_ok=True)
        elif not where.state.is_dir() or port_claims.load(where.state) is None:
            raise NotSetUp(f"nothing was ever started in {where.state}")
        account = find_account()
        if create:
            for folder in (where.state, where.etc, where.log, where.data, where.home, where.run):
                account.own(folder)
            account.check_reach(where.state)
            account.check_reach(where.cache)
        ports = port_claims.claim(where.state, where.cache)
        return cls(
            paths=where,
            ports=ports,
            credentials=Credentials(where.state / "credentials.json"),
            account=account,
            processes=ProcessTable(where, account),
            tools=Tools(account, where.home, where.log, threading.Event()),
        )

    def install_plugin(self, source: Path) -> None:
        """Copy a module that OpenStack shall import to where the daemons can read it."""
        folder = self.account.own(self.paths.plugins)
        owner = (self.account.uid, self.account.gid)
        write_private(folder / source.name, source.read_text(), owner)

    def install_plugin_package(self, source: Path) -> None:
        """Copy a package that OpenStack, or a daemon of ours, shall import; no module but its."""
        folder = self.account.own(self.account.own(self.paths.plugins) / source.name)
        owner = (self.account.uid, self.account.gid)
        for module in source.glob("*.py"):
            write_private(folder / module.name, module.read_text(), owner)

    def declare_entry_point(self, plugin: str, group: str, entry: str) -> None:
        """Let what a plugin offers be found as that of an installed distribution is.

        Args:
            plugin: Names the distribution.
            group: Where it is looked up: `magnum.drivers`.
            entry: `name = module:object`.
        """
        metadata = self.account.own(self.paths.plugins / f"{plugin}-1.0.dist-info")
        facts = f"Metadata-Version: 2.1\nName: {plugin}\nVersion: 1.0\n"
        (metadata / "METADATA").write_text(facts)
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")

    def write_config(self, name: str, text: str) -> str:
        """Write a configuration file that only the daemons can read, and return its path."""
        path = self.paths.etc / name
        if path.parent != self.paths.etc:
            self.account.own(path.parent)
        write_private(path, text, (self.account.uid, self.account.gid))
        return str(path)

    def is_done(self, step: str) -> bool:
        """Tell whether a step that is done once per cloud was completed."""
        return (self.paths.run / f"{step}.done").exists()

    def mark_done(self, step: str) -> None:
        """Record that a step is complete."""
        (self.paths.run / f"{step}.done").touch()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold this cloud's lock: two commands never change it at the same time."""
        descriptor = os.open(self.paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
