"""OpenStack's database server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from devcloud.component import Component, accepts_connections
from devcloud.ini import render_ini
from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.site import Site

USER = "openstack"


def client(site: Site, program: str = "mariadb") -> list[str]:
    """Return the start of a command that talks to the server as its administrator."""
    return [program, f"--defaults-file={site.paths.etc / 'mariadb-client.cnf'}"]


def query(site: Site, statement: str) -> str:
    """Run a short statement and return its result, one row a line, without headings."""
    return site.tools.read([*client(site), "--skip-column-names", "--batch", "-e", statement])


class MariaDB(Component):
    """A private MariaDB whose contents may be lost with the machine: durability costs seconds."""

    name = "mariadb"
    main_port = "mariadb"
    packages: ClassVar[tuple[str, ...]] = ("mariadb-server",)

    def render(self) -> None:
        """Write the statements that make the administrator, and how to log in as it."""
        password = self.site.credentials[self.name]
        login = {"user": USER, "password": password, "host": HOST, "protocol": "tcp"}
        port = self.site.ports[self.name]
        self.site.write_config(
            "mariadb-client.cnf", render_ini({"client": {**login, "port": port}})
        )
        who = f"'{USER}'@'{HOST}'"
        self.site.write_config(
            "mariadb-init.sql",
            f"CREATE USER IF NOT EXISTS {who};\n"
            f"ALTER USER {who} IDENTIFIED BY '{password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {who};\n",
        )

    def configured(self) -> bool:
        """Tell whether the system tables were made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the system tables, from nothing."""
        data = self.site.paths.data / self.name
        self.site.tools.run(self.name, ["rm", "-rf", str(data)])
        options = ["--no-defaults", f"--datadir={data}", self._tmpdir, "--skip-test-db"]
        self.site.tools.run(self.name, ["mariadb-install-db", *options])
        self.site.mark_done(self.name)

    @property
    def _tmpdir(self) -> str:
        """Not /tmp: each server that starts removes all temporary tables there, others' too."""
        return f"--tmpdir={self.site.paths.run}"

    def daemons(self) -> Sequence[Daemon]:
        """Return the server."""
        options = [
            "--no-defaults",
            f"--datadir={self.site.paths.data / self.name}",
            self._tmpdir,
            f"--bind-address={HOST}",
            f"--port={self.site.ports[self.name]}",
            f"--socket={self.site.paths.run / 'mariadb.sock'}",
            f"--pid-file={self.site.paths.run / 'mariadb.pid'}",
            f"--init-file={self.site.paths.etc / 'mariadb-init.sql'}",
            "--max-connections=500",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=128M",
            "--innodb-log-file-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
        ]
        return (Daemon(self.name, ["mariadbd", *options], grace=30.0),)

    def ready(self) -> bool:
        """Tell whether the server accepts connections; it does so after the init file."""
        return self.running() and accepts_connections(self.site.ports[self.name])
