"""Colobus' own database server."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from devcloud.component import Component
from devcloud.credentials import write_private
from devcloud.ini import Value, render_options
from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.tools import ToolFailed

SUPERUSER = "postgres"
DATABASE = "colobus"


class PostgreSQL(Component):
    """A private cluster: superuser `postgres` with a SCRAM password, database `colobus`."""

    name = "postgresql"
    main_port = "postgresql"
    packages: ClassVar[tuple[str, ...]] = ("postgresql",)

    @property
    def data(self) -> Path:
        """Return the cluster's folder."""
        return self.site.paths.data / self.name

    @property
    def programs(self) -> Path:
        """Return where the newest installed server's programs are."""
        versions = Path("/usr/lib/postgresql").glob("[0-9]*")
        unknown = Path("/usr/lib/postgresql/0")  # not installed yet
        return max(versions, key=lambda path: int(path.name), default=unknown) / "bin"

    def render(self) -> None:
        """Write postgresql.conf."""
        settings: dict[str, Value] = {
            "listen_addresses": f"'{HOST}'",
            "port": self.site.ports[self.name],
            "unix_socket_directories": "''",  # TCP only: a socket's path may be too long
            "max_connections": 200,
            "shared_buffers": "'128MB'",
            "fsync": "on",
        }
        self.site.write_config("postgresql.conf", render_options(settings))

    def configured(self) -> bool:
        """Tell whether the cluster was made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the cluster and the database, from nothing, so a broken attempt does no harm."""
        run = self.site.tools.run
        run(self.name, ["rm", "-rf", str(self.data)])
        password = self.site.paths.etc / "postgresql.password"
        owner = (self.site.account.uid, self.site.account.gid)
        write_private(password, self.site.credentials[self.name] + "\n", owner)
        run(
            self.name,
            [
                str(self.programs / "initdb"),
                f"--pgdata={self.data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ],
        )
        statement = self.site.paths.etc / "postgresql.sql"
        write_private(statement, f"CREATE DATABASE {DATABASE}\n", owner)
        single = [str(self.programs / "postgres"), "--single", "-D", str(self.data), "postgres"]
        run(self.name, single, input_file=statement)
        self.site.mark_done(self.name)

    def daemons(self) -> Sequence[Daemon]:
        """Return the server; SIGINT is its fast shutdown, SIGTERM would wait for its clients."""
        argv = [
            str(self.programs / "postgres"),
            f"-D{self.data}",
            f"--config_file={self.site.paths.etc / 'postgresql.conf'}",
        ]
        return (Daemon(self.name, argv, stop_signal=signal.SIGINT, grace=30.0),)

    def start(self) -> None:
        """Start the server; a lock file that a killed one left is no obstacle.

        The server would look whether that process lives, and take one for alive that is dead but
        not yet reaped, as it may stay for a while where the first process is no real init. Those
        that served its clients end by themselves, later; until then no new server may start.
        """
        (daemon,) = self.daemons()
        if self.site.processes.pid(daemon.name) is None:
            self.site.processes.stop(daemon)  # none of its group may be left, either
            self._end_backends()
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def _end_backends(self) -> None:
        """End what a killed server has left: each is a group of its own, but all are in its folder.

        Raises TimeoutError when one outlives that.
        """
        left = [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(self.data)]
        for backend in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                backend.kill()
        _, alive = psutil.wait_procs(left, timeout=10)
        if alive:
            raise TimeoutError(f"{self.name}: {alive[0].pid} of a killed server outlived SIGKILL")

    def ready(self) -> bool:
        """Tell whether the server accepts connections."""
        port = str(self.site.ports[self.name])
        try:
            probe = [str(self.programs / "pg_isready"), "-q", "-h", HOST, "-p", port]
            self.site.tools.read([*probe, "-d", DATABASE])
        except ToolFailed:
            return False
        return self.running()
