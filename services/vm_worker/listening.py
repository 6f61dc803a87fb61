"""Whose notifications are listened to, and telling the scheduler whether any arrive."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from services.vm_worker.context import Context
from services.vm_worker.listener import Listener
from services.vm_worker.metrics import RECEIVING
from services.vm_worker.notifications import BINDINGS
from services.vm_worker.provisioner.kit import WORKER
from services.vm_worker.settings import VmWorkerSettings
from shared.bus import Bus, Notifications
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.messages import CloudNotificationsChanged
from shared.runtime.errors import PermanentError, TemporaryError
from shared.runtime.service import Service
from shared.runtime.tenants import NOBODY

#: Between the URLs of one cloud's several brokers.
_SEPARATOR = "|"
#: How long a subscription may take at the start before it counts as failed, in seconds.
_PATIENCE = 5.0

_log = structlog.stdlib.get_logger(__name__)


def listen(service: Service, settings: VmWorkerSettings, context: Context, bus: Bus) -> None:
    """Listen to every cloud that has a URL, in the background.

    Raises `ConfigurationError` for a URL or a CA that can't be used.
    """
    urls = settings.notifications_urls
    clouds = {cloud for tenant in context.tenants for cloud in tenant.projects}
    for cloud in sorted(set(urls) - clouds):
        _log.warning("notifications of a cloud that no tenant has are not wanted", cloud=cloud)
    for cloud in sorted(clouds):
        reception = Reception(cloud, bus)
        service.spawn(f"notifications of {cloud}: reception", reception.run())
        if cloud in urls:
            listener = Listener(cloud, context, bus)
            service.on_close(listener.close)
            notifications = Notifications(
                urls[cloud].split(_SEPARATOR),
                listener.take,
                reception.changed,
                cloud=cloud,
                name=WORKER,
                queue=f"colobus.{context.kit.marks.installation_id}.{WORKER}.{cloud}",
                bindings=BINDINGS,
                trust=settings.notifications_trust,
            )
            service.spawn(f"notifications of {cloud}", notifications.run())


class Reception:
    """Tells the scheduler when this replica begins and ceases to receive a cloud's notifications.

    What it receives has to prove itself before it is relied on; that it doesn't is to be known at
    once: also right at the start, since a process before this one may have received them.
    """

    def __init__(self, cloud: str, bus: Bus, *, patience: float = _PATIENCE) -> None:
        self._cloud = cloud
        self._patience = patience
        self._bus = bus
        self._receiving = False
        self._changed = asyncio.Event()

    def changed(self, receiving: bool) -> None:
        """The subscription stands (True), or is gone."""
        self._receiving = receiving
        RECEIVING.labels(self._cloud).set(receiving)
        self._changed.set()

    async def run(self) -> None:
        """Tell every change, the last one for as long as it takes."""
        RECEIVING.labels(self._cloud).set(0)
        try:
            await asyncio.wait_for(self._changed.wait(), self._patience)
        except TimeoutError:
            self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._tell(self._receiving)
            except TemporaryError as error:
                _log.warning("reception not told", cloud=self._cloud, error=error.detail)
                self._changed.set()
            except PermanentError as error:  # the scheduler will find out by itself
                _log.error("reception can't be told", cloud=self._cloud, error=error.detail)

    async def _tell(self, receiving: bool) -> None:
        now = datetime.now(UTC)
        event = CloudNotificationsChanged(cloud=self._cloud, receiving=receiving, changed_at=now)
        envelope = envelope_for(
            event, source=WORKER, subject=f"{WORKER}/{self._cloud}", tenant=NOBODY
        )
        await self._bus.publish(outgoing.event("vm", envelope, event))
