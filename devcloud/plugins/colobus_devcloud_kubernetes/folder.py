"""One cluster's folder: what is wanted of it, and what it is. Every write replaces a whole file."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PAUSE = 0.2
STARTING, RUNNING, FAILED = "starting", "running", "failed"


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the nodes by name, or that nothing be left."""

    nodes: list[str]
    deleted: bool = False


@dataclass(frozen=True)
class Status:
    """What is so.

    `nodes` are those that have joined, with their addresses, once all that is wanted was done;
    `reason` says in words what went wrong last; `pids` are the processes by name.
    """

    state: str = STARTING
    reason: str | None = None
    api_address: str | None = None
    version: str | None = None
    nodes: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Return the address that the API server is at, without anything about it."""
        return (self.api_address or "").removeprefix("https://").rpartition(":")[0]


class Folder:
    """The files of one cluster, under the root of all clusters of this cloud."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls,
        path: Path,
        ca: str,
        ca_key: str,
        nodes: list[str],
        login: Callable[[], Mapping[str, str]] | None = None,
    ) -> Folder:
        """Make it, at once or not at all; one that is there stays.

        Args:
            path: Where; its name is the cluster's.
            ca: The cluster's certificate authority (PEM).
            ca_key: Its key, not encrypted (PEM).
            nodes: The nodes' names.
            login: Gives how the tenant's cloud is reached for it (`tenant_cloud.Login`), if it
                shall have load balancers; asked only when it is made.
        """
        made = cls(path)
        if made.exists():
            return made
        made.discard()
        making = made._making
        for folder in (making, making / "pki"):
            folder.mkdir(mode=0o700)
        (making / "pki" / "ca.crt").write_text(ca)
        _write(making / "pki" / "ca.key", ca_key)
        if login is not None:
            _write(making / "cloud.json", json.dumps(dict(login())))
        cls(making).want(Wanted(nodes))
        making.rename(path)
        return made

    def discard(self) -> None:
        """Leave nothing of what somebody who was killed has half made: keys are in it."""
        if self._making.is_dir():
            shutil.rmtree(self._making)

    @property
    def _making(self) -> Path:
        return self.path.with_name(f".{self.path.name}.making")

    def exists(self) -> bool:
        """Tell whether anything of the cluster is left."""
        return self.path.is_dir()

    def want(self, wanted: Wanted) -> None:
        """Ask for something else."""
        _write(self.path / "wanted.json", json.dumps(asdict(wanted)))

    def wanted(self) -> Wanted:
        """Return what is asked for."""
        return Wanted(**_read(self.path / "wanted.json"))

    def tell(self, status: Status) -> None:
        """Record what is so."""
        _write(self.path / "status.json", json.dumps(asdict(status)))

    def status(self) -> Status:
        """Return what is so; nothing yet, where nobody has said."""
        try:
            return Status(**_read(self.path / "status.json"))
        except FileNotFoundError:
            return Status()

    @property
    def was_up(self) -> bool:
        """Tell whether the cluster ever ran."""
        return (self.path / "was-up").exists()

    def mark_up(self) -> None:
        """Record that it ran: from now on it is never given up."""
        (self.path / "was-up").touch()

    def login(self) -> dict[str, str] | None:
        """Return how the tenant's cloud is reached for it, if that may be."""
        try:
            return _read(self.path / "cloud.json")
        except FileNotFoundError:
            return None

    @property
    def has_balancers(self) -> bool:
        """Tell whether load balancers are still made for it."""
        return not (self.path / "no-more-balancers").exists()

    def end_balancers(self) -> None:
        """Have no more load balancers made: it is about to be deleted."""
        (self.path / "no-more-balancers").touch()

    @contextmanager
    def balancing(self, within: float = float("inf")) -> Iterator[None]:
        """Be the only one to touch its load balancers; whoever is killed lets go.

        Raises:
            TimeoutError: Another has been at it for all of that time, in seconds.
        """
        deadline = time.monotonic() + within
        with (self.path / "balancers.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError("its load balancers are being worked on") from None
                    time.sleep(PAUSE)
            yield

    def number(self) -> int | None:
        """Return which of the host's addresses is the cluster's."""
        try:
            return int((self.path / "number").read_text())
        except FileNotFoundError:
            return None

    def take_number(self, number: int) -> None:
        """Give it an address."""
        _write(self.path / "number", str(number))

    def remove(self) -> None:
        """Leave nothing; the name goes first, so what is half removed is no cluster."""
        gone = self.path.with_name(f".{self.path.name}.{time.time_ns()}.gone")
        self.path.rename(gone)
        shutil.rmtree(gone)


def end_removals(root: Path) -> None:
    """Remove what somebody who was killed has half removed of clusters under a root."""
    for gone in root.glob(".*.gone"):
        shutil.rmtree(gone, ignore_errors=True)  # or at the next start


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{time.monotonic_ns()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
