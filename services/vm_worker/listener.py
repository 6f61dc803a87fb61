"""From a cloud's notifications to `VmObserved`: filter, put together, ask what is missing, publish.

One listener per cloud. It is an optimisation: what is lost here (the cloud's broker is away, a
question failed) is seen by an inspection, a little later. Taken is only what is ours by marks,
which anybody in a project could have written, *and* in a project of the tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from services.vm_worker.cloud_objects import Port, Server
from services.vm_worker.context import Context
from services.vm_worker.metrics import NOTIFICATIONS
from services.vm_worker.notifications import (
    Notification,
    ServerNotified,
    UnreadableNotification,
    read,
)
from services.vm_worker.notified import Missing, Notified, Seen
from services.vm_worker.observer import observation_of
from services.vm_worker.provisioner.kit import WORKER
from services.vm_worker.questions import Questions
from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import envelope_for

_log = structlog.stdlib.get_logger(__name__)


class Listener:
    """Takes the notifications of one cloud."""

    def __init__(self, cloud: str, context: Context, bus: Bus) -> None:
        self._cloud = cloud
        self._context = context
        self._bus = bus
        self._notified = Notified()
        self._questions = Questions(cloud, context, self._port_answered, self._fault_answered)

    async def take(self, bodies: Sequence[bytes]) -> None:
        """Take what has come; returns when all that it shows is published, or is being asked.

        Raises `TemporaryError` when our own broker doesn't take it.
        """
        seen: list[Seen] = []
        for told in filter(None, map(self._read, bodies)):
            shown = self._notified.take(told)
            if isinstance(shown, Missing):
                self._ask(shown)
            elif shown is not None:
                seen.append(shown)
        await asyncio.gather(*(self._publish(one) for one in seen))

    async def close(self) -> None:
        """Ask nothing more."""
        await self._questions.close()

    def _read(self, body: bytes) -> Notification | None:
        try:
            told = read(body, self._context.kit.marks)
        except UnreadableNotification as error:
            self._count("unreadable")
            _log.warning("notification not read", cloud=self._cloud, error=str(error))
            return None
        ours = told is not None and self._tenant(told) is not None
        self._count("taken" if ours else "other")
        return told if ours else None

    def _tenant(self, told: Notification) -> str | None:
        tenant = self._context.tenants.by_project(self._cloud, told.project_id)
        return None if tenant is None else tenant.name

    def _count(self, outcome: str) -> None:
        NOTIFICATIONS.labels(self._cloud, outcome).inc()

    def _ask(self, missing: Missing) -> None:
        tenant = self._tenant(missing.told)
        assert tenant is not None, "only ours are taken"
        if missing.failed:
            self._questions.ask_fault(tenant, missing.told)
        else:
            self._questions.ask_port(tenant, missing.told)

    async def _port_answered(
        self, told: ServerNotified, port: Port | None, asked_at: datetime
    ) -> None:
        await self._publish(self._notified.answer(told, port), at=asked_at)

    async def _fault_answered(
        self, told: ServerNotified, server: Server | None, asked_at: datetime
    ) -> None:
        await self._publish(Seen(told, told), server=server, at=asked_at)

    async def _publish(
        self, seen: Seen, *, server: Server | None = None, at: datetime | None = None
    ) -> None:
        """Publish an observation: what was told, or (``at`` is given) what the answer was."""
        told = seen.told
        gone = told.gone or (told.server.status == "ERROR" and server is None)
        event = observation_of(
            at or seen.by.at,
            None if gone else server or told.server,
            seen.port,
            seen.floating_ip,
            server_id=told.server.id,
            notified=True,
        )
        envelope = envelope_for(
            event,
            # The same notification makes the same event, however often it is delivered.
            id=f"{self._cloud}/{seen.by.id}/{type(event).__name__}",
            source=WORKER,
            subject=told.resource_id,
            tenant=self._tenant(told) or "",
        )
        await self._bus.publish(outgoing.event("vm", envelope, event))
