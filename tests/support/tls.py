"""Certificates, and a broker and a database of the tests' own that speak TLS and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from devcloud.component import Component, accepts_connections
from devcloud.components.postgresql import DATABASE, SUPERUSER, PostgreSQL
from devcloud.components.rabbitmq import RabbitMQ
from devcloud.ini import Value
from devcloud.paths import Paths
from devcloud.ports import HOST
from devcloud.site import Site
from tests.support.conditions import eventually_sync

#: The name in all servers' certificates; their address is not in them.
NAME = "localhost"
_HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Authority:
    """A CA and files of its certificates."""

    ca: trustme.CA
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Make one whose files are in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(trustme.CA(), folder)
        made.ca.cert_pem.write_to_path(str(made.file))
        return made

    @property
    def file(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def issue(self, *names: str, to: str = "server") -> tuple[Path, Path]:
        """Write a certificate with its chain, and its key, to files called after ``to``."""
        made = self.ca.issue_cert(*(names or (NAME,)))
        certificate, key = self.folder / f"{to}.pem", self.folder / f"{to}.key"
        # Each at once, as tools that renew certificates do.
        for path, text in (
            (key, made.private_key_pem.bytes()),
            (certificate, b"".join(blob.bytes() for blob in made.cert_chain_pems)),
        ):
            new = path.with_suffix(".new")
            new.write_bytes(text)
            new.replace(path)
        return certificate, key


class _TlsRabbitMQ(RabbitMQ):
    files: Mapping[str, str]

    def options(self) -> dict[str, Value]:
        management = self.site.ports["rabbitmq-management"]
        options: dict[str, Value] = {
            "listeners.tcp": "none",
            "listeners.ssl.1": f"{HOST}:{self.port}",
            # A client may show a certificate; if it does, it must be a good one.
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": False,
            "management.ssl.ip": HOST,
            "management.ssl.port": management,
        }
        for kind in ("ssl_options", "management.ssl"):
            options |= {f"{kind}.{name}": path for name, path in self.files.items()}
        return options

    def ready(self) -> bool:
        ports = (self.port, self.site.ports["rabbitmq-management"])
        return self.running() and all(accepts_connections(port) for port in ports)


class _TlsPostgreSQL(PostgreSQL):
    files: Mapping[str, str]

    def render(self) -> None:
        super().render()
        path = self.site.paths.etc / "postgresql.conf"
        hba = self.site.write_config("pg_hba.conf", _HBA)
        lines = [f"ssl_{name} = '{file}'" for name, file in self.files.items()]
        text = "\n".join([path.read_text(), "ssl = on", f"hba_file = '{hba}'", *lines])
        self.site.write_config(path.name, f"{text}\n")


@dataclass(frozen=True)
class Servers:
    """URLs with the administrators' logins; ``authority`` vouches for all."""

    authority: Authority
    amqp_url: str
    management_url: str
    database_dsn: str


@contextmanager
def servers(authority: Authority) -> Iterator[Servers]:
    """Start both, apart from all others; everything goes at the end."""
    usual = Paths.from_environment()
    # Beside the usual folder: the daemons' user can enter it, unlike the tests' own.
    state = usual.state.with_name(f"tls-{secrets.token_hex(4)}")
    site = Site.open(Paths(state, usual.cache))
    certificate, key = authority.issue(to="servers")
    parts = {"cacertfile": authority.file, "certfile": certificate, "keyfile": key}
    written = {n: site.write_config(f"tls/{n}", path.read_text()) for n, path in parts.items()}
    broker, database = _TlsRabbitMQ(site), _TlsPostgreSQL(site)
    broker.files = written
    database.files = {
        "ca_file": written["cacertfile"],
        "cert_file": written["certfile"],
        "key_file": written["keyfile"],
    }
    try:
        with _running(broker), _running(database):
            login = f"{RabbitMQ.user}:{site.credentials[RabbitMQ.name]}@{NAME}"
            superuser = f"{SUPERUSER}:{site.credentials[PostgreSQL.name]}@{NAME}"
            tls = f"sslmode=verify-full&sslrootcert={authority.file}"
            ports = site.ports
            yield Servers(
                authority,
                f"amqps://{login}:{ports['rabbitmq']}/{RabbitMQ.vhost}",
                f"https://{NAME}:{ports['rabbitmq-management']}",
                f"postgresql://{superuser}:{ports['postgresql']}/{DATABASE}?{tls}",
            )
    finally:
        (usual.cache / "ports" / str(site.ports.base)).unlink()
        shutil.rmtree(state)


@contextmanager
def _running(component: Component) -> Iterator[None]:
    component.render()
    component.configure()
    try:
        component.start()
        eventually_sync(component.ready, within=120, what=f"{component.name} is ready")
        yield
    finally:
        component.stop()


@asynccontextmanager
async def terminating(certificate: Path, key: Path, port: int) -> AsyncIterator[int]:
    """Speak TLS in front of a plain listener on loopback; return the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inside = await asyncio.open_connection(HOST, port)
            await asyncio.gather(_pump(reader, inside[1]), _pump(inside[0], writer))

    server = await asyncio.start_server(carry, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
