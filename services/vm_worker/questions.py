"""What notifications leave open is asked of the cloud: one question at a time, and together.

While a tenant's ports are being asked about, what else comes up waits for the next list call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import Port, Server
from services.vm_worker.context import Context
from services.vm_worker.notifications import ServerNotified
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError

#: How long a question to the cloud may take, in seconds.
PATIENCE = 30.0
#: Nova tells of an ERROR a moment before it writes down the fault, and nothing of ours tells when
#: it has: seconds before each look.
_FAULT_PAUSES = (0.1, 1.0)

#: Takes the notification that raised the question, the answer, and when it was asked.
PortAnswered = Callable[[ServerNotified, Port | None, datetime], Awaitable[None]]
FaultAnswered = Callable[[ServerNotified, Server | None, datetime], Awaitable[None]]

_log = structlog.stdlib.get_logger(__name__)


class Questions:
    """The open questions to one cloud."""

    def __init__(
        self,
        cloud: str,
        context: Context,
        port_answered: PortAnswered,
        fault_answered: FaultAnswered,
    ) -> None:
        self._cloud = cloud
        self._context = context
        self._port_answered = port_answered
        self._fault_answered = fault_answered
        self._waiting: dict[str, list[ServerNotified]] = {}
        self._asking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask_port(self, tenant: str, told: ServerNotified) -> None:
        """Ask whether the server's port is up."""
        self._waiting.setdefault(tenant, []).append(told)
        if tenant not in self._asking:
            self._asking.add(tenant)
            self._begin(self._ask_ports(tenant))

    def ask_fault(self, tenant: str, told: ServerNotified) -> None:
        """Ask why the server is in ERROR."""
        self._begin(self._ask_fault(tenant, told))

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, question: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(question, name=f"question to {self._cloud}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("question failed", cloud=self._cloud, exc_info=error)

    async def _ask_ports(self, tenant: str) -> None:
        try:
            while servers := self._waiting.pop(tenant, None):
                await self._ask_ports_of(tenant, servers)
        finally:
            self._asking.discard(tenant)

    async def _ask_ports_of(self, tenant: str, servers: Sequence[ServerNotified]) -> None:
        """Say of each whether its port is up; when nobody can tell, say what Nova said."""
        asked_at = datetime.now(UTC)
        ports: dict[str, Port] = {}
        ids = sorted({port_id for told in servers for port_id in told.port_ids})
        try:
            found = await self._project(tenant).network.ports(ids=ids) if ids else []
            ports = {self._owner(port): port for port in found}
        except ColobusError as error:
            _log.warning("ports not seen", cloud=self._cloud, tenant=tenant, error=error.detail)
        for told in servers:
            await self._say(self._port_answered(told, ports.get(told.resource_id), asked_at))

    def _owner(self, port: Port) -> str:
        return self._context.kit.marks.resource_of(port.tags, port.description) or ""

    async def _ask_fault(self, tenant: str, told: ServerNotified) -> None:
        server: Server | None = None
        for pause in _FAULT_PAUSES:
            await asyncio.sleep(pause)
            asked_at = datetime.now(UTC)
            try:
                server = await self._project(tenant).compute.server(told.server.id)
            except ColobusError as error:
                _log.warning("fault not seen", cloud=self._cloud, error=error.detail)
                return  # an inspection will tell it, with the fault
            if server is None or server.fault or server.status != "ERROR":
                break
        await self._say(self._fault_answered(told, server, asked_at))

    async def _say(self, saying: Awaitable[None]) -> None:
        try:
            await saying
        except ColobusError as error:
            _log.warning("answer not published", cloud=self._cloud, error=error.detail)

    def _project(self, tenant: str) -> Project:
        return self._context.backend.project(self._cloud, tenant, Deadline.after(PATIENCE))
