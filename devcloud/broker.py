"""A RabbitMQ node of our own: what Colobus' broker and the cloud's broker have in common."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from devcloud.component import Component
from devcloud.ini import Value, render_options
from devcloud.ports import HOST
from devcloud.processes import Daemon

# Not the wrapper in /usr/sbin, which wants to be root or rabbitmq.
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECT_WITHIN = 5.0


def password_hash(password: str, salt: bytes) -> str:
    """Return RabbitMQ's salted SHA-256 form (rabbitmq.com/docs/passwords)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def speaks_amqp(port: int) -> bool:
    """Tell whether a broker answers AMQP's greeting with a method frame (Connection.Start)."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(AMQP_HEADER)
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def has_consumer(url: str, queue: str) -> bool:
    """Tell whether somebody serves a queue; a broker that can't be asked has none."""
    if not speaks_amqp(int(url.rpartition(":")[2].partition("/")[0])):
        return False  # the library would log an error
    import aio_pika

    async def look() -> bool:
        async with await aio_pika.connect(url, timeout=CONNECT_WITHIN) as connection:
            channel = await connection.channel()
            found = (await channel.declare_queue(queue, passive=True)).declaration_result
            return bool(found.consumer_count)

    try:
        return asyncio.run(look())
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError):
        return False


class QueueNotEmptied(RuntimeError):
    """What waits in a queue could not be thrown away; the message says why."""


def empty_queue(url: str, queue: str, within: float = 30.0) -> int:
    """Throw away all that waits in a queue whose consumer has ended; return how much that was.

    What the consumer was sent and had not acknowledged is put back only when the broker has noticed
    its end, so that is waited for. A queue that is not there has nothing.

    Raises:
        QueueNotEmptied: The broker does not answer, or the queue still has a consumer after so many
            seconds.
    """
    import aio_pika

    async def empty() -> int:
        deadline = time.monotonic() + within
        async with await aio_pika.connect(url, timeout=CONNECT_WITHIN) as connection:
            channel = await connection.channel()
            while True:
                found = await channel.declare_queue(queue, passive=True)
                if not found.declaration_result.consumer_count:
                    return (await found.purge()).message_count or 0
                if time.monotonic() > deadline:
                    raise QueueNotEmptied(f"{queue} is served for {within:.0f} s still")
                await asyncio.sleep(0.1)

    try:
        return asyncio.run(empty())
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return 0
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError) as error:
        raise QueueNotEmptied(f"{queue}: {error}") from error


class Broker(Component):
    """One single-node broker with users, virtual host and policies from a definitions file.

    The file is loaded at every start, before listeners open, so no rabbitmqctl call is needed.
    """

    packages: ClassVar[tuple[str, ...]] = ("rabbitmq-server",)
    plugins: ClassVar[tuple[str, ...]] = ()
    vhost: ClassVar[str] = "/"
    user: ClassVar[str]
    memory: ClassVar[str] = "1GB"
    schedulers: ClassVar[int] = 2

    @property
    def password(self) -> str:
        """Return the password of `user`."""
        return self.site.credentials[self.name]

    @property
    def port(self) -> int:
        """Return where AMQP is spoken."""
        return self.site.ports[self.name]

    def policies(self) -> list[dict[str, Any]]:
        """Return policies in the form of RabbitMQ's definitions."""
        return []

    def options(self) -> dict[str, Value]:
        """Return further options of rabbitmq.conf."""
        return {}

    def render(self) -> None:
        """Write rabbitmq.conf, the list of plugins and the definitions."""
        for folder in ("", "mnesia", "log"):
            self.site.account.own(self.site.paths.data / self.name / folder)
        definitions = self._write("definitions.json", json.dumps(self._definitions(), indent=1))
        settings: dict[str, Value] = {
            "listeners.tcp.1": f"{HOST}:{self.port}",
            "loopback_users": "none",
            "load_definitions": definitions,
            "vm_memory_high_watermark.absolute": self.memory,
            "disk_free_limit.absolute": "200MB",
            "log.file": False,
            "log.console": True,
            "log.console.level": "info",
            **self.options(),
        }
        self._write("rabbitmq.conf", render_options(settings))
        self._write("enabled_plugins", f"[{','.join(self.plugins)}].\n")

    def configured(self) -> bool:
        """Tell whether this broker was ever set up."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Note that clients may be told of this broker."""
        self.site.mark_done(self.name)

    def daemons(self) -> Sequence[Daemon]:
        """Return the node, and a port mapper of its own (the node would leave one behind)."""
        epmd = Daemon(
            f"{self.name}-epmd",
            ["epmd", "-port", str(self.site.ports[f"{self.name}-epmd"]), "-address", HOST],
        )
        return (epmd, Daemon(self.name, [SERVER], self.environment(), grace=30.0))

    def environment(self) -> dict[str, str]:
        """Return what keeps this node apart from any other on the machine."""
        data = self.site.paths.data / self.name
        etc = self.site.paths.etc / self.name
        return {
            "HOME": str(data),  # holds the node's cookie
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(data / "schema"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
            "RABBITMQ_PID_FILE": str(data / "pid"),
            "RABBITMQ_DIST_PORT": str(self.site.ports[f"{self.name}-distribution"]),
            "ERL_EPMD_PORT": str(self.site.ports[f"{self.name}-epmd"]),
            "ERL_EPMD_ADDRESS": HOST,
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell between us and the virtual machine
            # No scheduler spins, as the package has it: it is up 0.8 s sooner with "+sbwt medium",
            # and takes half as much processor time again for as long as it runs.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S {self.schedulers}:{self.schedulers} "
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }

    def ready(self) -> bool:
        """Tell whether clients may connect."""
        return self.running() and speaks_amqp(self.port)

    def _write(self, file: str, text: str) -> str:
        return self.site.write_config(f"{self.name}/{file}", text)

    def _definitions(self) -> dict[str, Any]:
        allowed = {"configure": ".*", "write": ".*", "read": ".*"}
        return {
            "vhosts": [{"name": self.vhost}],
            "users": [
                {
                    "name": self.user,
                    "password_hash": password_hash(self.password, os.urandom(4)),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": ["administrator"],
                }
            ],
            "permissions": [{"user": self.user, "vhost": self.vhost, **allowed}],
            "policies": self.policies(),
        }
