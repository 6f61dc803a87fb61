"""Three RabbitMQ nodes that form a cluster, each of which can be killed and started again.

They take their form from devcloud's broker; what differs is said here: names, ports, one port
mapper and one cookie for all, and how they find each other
(rabbitmq.com/docs/cluster-formation, classic config; pause_minority).
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from devcloud.broker import SERVER, speaks_amqp
from devcloud.ini import Value, render_options
from tests.support.conditions import eventually
from tests.support.installation import free_ports

USER, HOST = "tests", "127.0.0.1"


@dataclass
class Node:
    """One node: where it listens, and its process while it runs."""

    name: str
    folder: Path
    amqp: int
    management: int
    distribution: int
    process: subprocess.Popen[bytes] | None = None


@dataclass
class BrokerCluster:
    """``amqp_urls`` are those of all nodes; the management interface is each node's."""

    folder: Path
    nodes: list[Node]
    epmd: int
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def amqp_urls(self) -> str:
        """Separated by commas."""
        return ",".join(f"amqp://{USER}:{self.password}@{HOST}:{n.amqp}/any" for n in self.nodes)

    def management_url(self, node: Node) -> str:
        """The node's HTTP API."""
        return f"http://{USER}:{self.password}@{HOST}:{node.management}"

    def spawn(self, node: Node) -> None:
        """Start a node without waiting for it."""
        self._write(node)
        with (node.folder / "log").open("ab") as log:
            node.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", SERVER],
                env=self._environment(node),
                cwd=node.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait_ready(self, *nodes: Node) -> None:
        """Wait until these nodes serve, and know each other as running."""
        for node in nodes:

            async def ready(node: Node = node) -> bool:
                assert node.process is not None
                assert node.process.poll() is None, (node.folder / "log").read_text()[-2000:]
                return await asyncio.to_thread(speaks_amqp, node.amqp) and await self._whole(node)

            await eventually(ready, within=240, what=f"{node.name} serves")

    async def _whole(self, node: Node) -> bool:
        found = await self.ask(node, "/api/nodes")
        return sum(bool(one.get("running")) for one in found or ()) == len(self.nodes)

    async def ask(self, node: Node, path: str) -> Any:
        """Return what the node's HTTP API answers; None when it doesn't."""
        login = aiohttp.encode_basic_auth(USER, self.password)
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": login}, timeout=timeout) as session,
                session.get(f"http://{HOST}:{node.management}{path}") as answer,
            ):
                return await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def busiest(self) -> Node:
        """Return the node that most connections are on."""
        node = next(node for node in self.nodes if node.process and node.process.poll() is None)
        found = await eventually(lambda: self.ask(node, "/api/connections"), what="connections")
        counted = Counter(str(one["node"]).partition("@")[0] for one in found)
        return next(node for node in self.nodes if node.name == counted.most_common(1)[0][0])

    def kill(self, node: Node) -> None:
        """Kill -9, as a crash would."""
        assert node.process is not None
        node.process.kill()
        node.process.wait()

    async def stop(self, node: Node) -> None:
        """SIGTERM, and wait for the end."""
        assert node.process is not None
        node.process.terminate()
        await asyncio.to_thread(node.process.wait, 60)

    def _write(self, node: Node) -> None:
        peers = {
            f"cluster_formation.classic_config.nodes.{n}": f"{peer.name}@localhost"
            for n, peer in enumerate(self.nodes, 1)
        }
        options: dict[str, Value] = {
            "listeners.tcp.1": f"{HOST}:{node.amqp}",
            "management.tcp.ip": HOST,
            "management.tcp.port": node.management,
            "default_user": USER,
            "default_pass": self.password,
            "loopback_users": "none",
            "cluster_formation.peer_discovery_backend": "classic_config",
            **peers,
            "cluster_partition_handling": "pause_minority",
            "vm_memory_high_watermark.absolute": "1GB",
            "disk_free_limit.absolute": "200MB",
            "log.file": False,
            "log.console": True,
            "log.console.level": "info",
        }
        (node.folder / "rabbitmq.conf").write_text(render_options(options))
        (node.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def _environment(self, node: Node) -> dict[str, str]:
        folder = node.folder
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # holds the cookie of all nodes
            "RABBITMQ_NODENAME": f"{node.name}@localhost",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(node.distribution),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": HOST,
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell between us and the virtual machine
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


@asynccontextmanager
async def broker_cluster(folder: Path, size: int = 3) -> AsyncIterator[BrokerCluster]:
    """Run a cluster of ``size`` nodes; nothing of it is left at the end."""
    epmd, *ports = free_ports(3 * size + 1)
    nodes = [
        Node(f"colobus{n + 1}", folder / f"node{n + 1}", amqp, management, distribution)
        for n, (amqp, management, distribution) in enumerate(
            zip(ports[::3], ports[1::3], ports[2::3], strict=True)
        )
    ]
    cluster = BrokerCluster(folder, nodes, epmd)
    for node in nodes:
        node.folder.mkdir()
    cookie = folder / ".erlang.cookie"
    cookie.write_text(base64.b32encode(secrets.token_bytes(20)).decode())
    cookie.chmod(0o400)
    mapper = _port_mapper(epmd)
    try:
        for node in nodes:
            cluster.spawn(node)
        await cluster.wait_ready(*nodes)
        yield cluster
    finally:
        for node in nodes:
            if node.process is not None:
                cluster.kill(node)
        mapper.kill()
        mapper.wait()


def _port_mapper(port: int) -> subprocess.Popen[bytes]:
    command = ["setpriv", "--pdeathsig", "KILL", "epmd", "-port", str(port), "-address", HOST]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)
