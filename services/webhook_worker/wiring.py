"""The webhook worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from services.webhook_worker import queries, retention
from services.webhook_worker.context import Context
from services.webhook_worker.courier import Courier
from services.webhook_worker.handlers import handle_status
from services.webhook_worker.http_backend import HttpBackend
from services.webhook_worker.lanes import Lanes
from services.webhook_worker.outcomes import Tolerance
from services.webhook_worker.sender import Sender
from services.webhook_worker.settings import WebhookSettings
from services.webhook_worker.signing import Signer
from shared.bus import Bus, answering, open_bus
from shared.runtime.errors import ConfigurationError
from shared.runtime.health import serve_health
from shared.runtime.secrets import master_key
from shared.runtime.service import Service, patiently
from shared.runtime.settings import load
from shared.runtime.url_policy import Network, parse_networks
from shared.storage import Database, Outbox

NAME = "webhook_worker"
#: How long the database and the broker are waited for at the start, in seconds.
PATIENCE = 60


async def wire(service: Service) -> None:
    """Connect, send, consume."""
    settings = load(WebhookSettings)
    allowed = _checked_networks(settings)
    signer = Signer(
        master_key(settings.master_key), timedelta(seconds=settings.webhook_rotation_overlap)
    )
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    database, bus = await _connect(service, settings)
    outbox = Outbox(database, bus)
    service.spawn("outbox", outbox.run())
    endpoint = HttpBackend(allowed, timeout=settings.webhook_timeout)
    service.on_close(endpoint.close)
    sender = make_sender(settings, database, outbox, endpoint, signer)
    service.spawn("sender", sender.run())
    context = Context(settings, database, outbox, signer, allowed, sender.wake)
    for name, seconds, do in (
        ("forget", retention.FORGET_EVERY, retention.forget),
        ("tidy", retention.TIDY_EVERY, retention.tidy),
        ("measure", retention.MEASURE_EVERY, retention.measure),
    ):
        service.spawn(name, retention.run_round(context, name, seconds, do))
    await bus.consume(f"{NAME}.status", partial(handle_status, context=context))
    await bus.serve_queries(NAME, answering(NAME, queries.QUERY_HANDLERS, context))
    service.on_drain(lambda: bus.drain(settings.drain_seconds))
    service.on_drain(sender.drain)


def make_sender(
    settings: WebhookSettings,
    database: Database,
    outbox: Outbox,
    endpoint: HttpBackend,
    signer: Signer,
) -> Sender:
    """Put a sender together."""
    courier = Courier(
        database,
        outbox,
        endpoint,
        signer,
        schedule=settings.webhook_retry_schedule,
        tolerance=Tolerance(
            settings.webhook_disable_after_messages, settings.webhook_disable_after
        ),
        record_seconds=max(0.0, settings.webhook_lease - settings.webhook_timeout),
    )
    lanes = Lanes(
        overall=settings.webhook_concurrency,
        per_tenant=settings.webhook_tenant_concurrency,
        per_lane=settings.webhook_endpoint_concurrency,
    )
    return Sender(database, courier, lanes, lease=settings.webhook_lease)


async def _connect(service: Service, settings: WebhookSettings) -> tuple[Database, Bus]:
    database = await patiently(
        lambda: Database.connect(
            settings.database_dsn, schema=NAME, pool_size=settings.database_pool_size
        ),
        PATIENCE,
        name="database",
    )
    service.on_close(database.close)
    service.add_readiness("database", database.ping)
    bus = await open_bus(service, settings, NAME)
    return database, bus


def _checked_networks(settings: WebhookSettings) -> tuple[Network, ...]:
    if settings.webhook_lease <= settings.webhook_timeout:
        raise ConfigurationError(
            "COLOBUS_WEBHOOK_LEASE must be longer than COLOBUS_WEBHOOK_TIMEOUT"
        )
    try:
        return parse_networks(settings.webhook_allowed_networks)
    except ValueError as error:
        raise ConfigurationError(f"COLOBUS_WEBHOOK_ALLOWED_NETWORKS: {error}") from error
