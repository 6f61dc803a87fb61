"""A whole webhook worker in this process, wired as in production, and what surrounds it."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import asyncpg

from services.webhook_worker.wiring import wire
from shared.bus import Bus
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id, new_ulid
from shared.contract.messages import (
    CreateWebhook,
    ListWebhookDeliveries,
    Message,
    ResourceStatusChanged,
    Webhook,
    WebhookDeliveriesListed,
    WebhookDelivery,
)
from shared.contract.resources import Phase, Resource, Status
from shared.runtime.secrets import SealingKey
from shared.runtime.service import Service
from tests.support.conditions import eventually

MIGRATIONS = Path(__file__).parents[3] / "services/webhook_worker/migrations"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
M = TypeVar("M", bound=Message)

#: Quick tries, and leases that end soon after a crash.
QUICK = {
    "COLOBUS_INSTALLATION_ID": "test",
    "COLOBUS_HTTP_PORT": "0",
    "COLOBUS_MASTER_KEY": MASTER_KEY,
    "COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "COLOBUS_WEBHOOK_RETRY_SCHEDULE": "0.05,0.05,0.05",
    "COLOBUS_WEBHOOK_TIMEOUT": "5",
    "COLOBUS_WEBHOOK_LEASE": "10",
}


def a_resource(tenant: str, **changes: Any) -> Resource:
    """A VM of ``tenant``."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": new_id("vm"),
        "kind": "vm",
        "tenant": tenant,
        "spec": {"image": "cirros", "flavor": "tiny"},
        "status": Status(phase=Phase.REQUESTED),
        "created_at": now,
        "updated_at": now,
        "revision": 1,
    }
    return Resource(**{**fields, **changes})


@dataclass
class Surroundings:
    """The rest of Colobus as a webhook worker sees it, for one tenant of the test's own."""

    bus: Bus
    dsn: str
    environment: dict[str, str]
    tenant: str
    key: SealingKey

    async def change(
        self,
        resource: Resource,
        phase: Phase,
        *,
        revision: int = 1,
        previous: Phase | None = None,
        callback_url: str | None = None,
        id: str | None = None,
        envelope_tenant: str | None = None,
    ) -> None:
        """Publish the status message of a change, as the scheduler does."""
        fields = {name: getattr(resource, name) for name in resource.__struct_fields__}
        changed = Resource(**{**fields, "status": Status(phase=phase), "revision": revision})
        message = ResourceStatusChanged(
            resource=changed, previous_phase=previous, callback_url=callback_url
        )
        envelope = envelope_for(
            message,
            id=id,
            source="scheduler",
            subject=resource.id,
            tenant=envelope_tenant or resource.tenant,
            sequence=revision,
        )
        await self.bus.publish(outgoing.status(envelope, message))

    async def live(self, resource: Resource, *phases: Phase, **options: Any) -> None:
        """Publish a change to each phase, one after the other."""
        previous = None
        for revision, phase in enumerate(phases, start=1):
            await self.change(resource, phase, revision=revision, previous=previous, **options)
            previous = phase

    async def ask(self, message: Message, answer: type[M], *, tenant: str | None = None) -> M:
        """Ask the webhook worker for ``tenant``, as the front door does."""
        asker = tenant or self.tenant
        envelope = envelope_for(message, source="front_door", subject="webhook", tenant=asker)
        answered = await self.bus.query("webhook_worker", envelope, message)
        assert isinstance(answered, answer)
        return answered

    async def subscribe(self, url: str, **filters: Any) -> tuple[Webhook, str]:
        """Make a subscription; return it and its secret."""
        wanted = CreateWebhook(
            webhook_id=f"wh-{new_ulid()}",
            url=url,
            reply_public_key=self.key.public_key,
            **filters,
        )
        webhook = await self.ask(wanted, Webhook)
        return webhook, self.opened(webhook.sealed_secret)

    async def deliveries(
        self, webhook_id: str, which: Callable[[WebhookDelivery], bool] = lambda _: True
    ) -> list[WebhookDelivery]:
        """Return the deliveries of a subscription, newest first."""
        query = ListWebhookDeliveries(webhook_id=webhook_id, limit=500)
        listed = await self.ask(query, WebhookDeliveriesListed)
        return [delivery for delivery in listed.deliveries if which(delivery)]

    async def settled(self, webhook_id: str, count: int = 1) -> list[WebhookDelivery]:
        """Wait until so many deliveries have come to their end; return these."""

        async def enough() -> list[WebhookDelivery] | None:
            ended = await self.deliveries(webhook_id, lambda d: d.state != "pending")
            return ended if len(ended) >= count else None

        return await eventually(enough, what=f"{count} deliveries settled")

    def opened(self, sealed: str | None) -> str:
        """Return a secret that was sealed to us."""
        assert sealed is not None
        return self.key.open(sealed).decode()

    async def rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Look into the worker's tables."""
        connection = await asyncpg.connect(
            self.dsn, server_settings={"search_path": "webhook_worker"}
        )
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    @asynccontextmanager
    async def worker(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[Service]:
        """Run a worker with these settings besides; it is drained at the end."""
        service = Service("webhook_worker")
        try:
            with mock.patch.dict(os.environ, {**self.environment, **(settings or {})}):
                await wire(service)
            service.wired = True
            yield service
        finally:
            await service.drain(5)
            await service.close(5)
        assert not service.failed
