"""The scheduler's parts, put together once and closed in reverse."""

from __future__ import annotations

from functools import partial

from services.scheduler import (
    admitting,
    census,
    inspections,
    measuring,
    push,
    queries,
    retention,
    timers,
)
from services.scheduler.context import Context
from services.scheduler.handlers import handle_dead_command, handle_event, handle_request
from services.scheduler.ledger import Ledger
from services.scheduler.requests import REFUSALS
from services.scheduler.settings import Settings
from shared.bus import answering, open_bus
from shared.runtime.health import serve_health
from shared.runtime.service import Service, patiently
from shared.runtime.settings import load
from shared.runtime.tenants import load_tenants
from shared.storage import Database, Outbox

#: How long the database and the broker are waited for at the start, in seconds.
PATIENCE = 60


async def wire(service: Service) -> None:
    """Connect, consume, and start the loops."""
    settings = load(Settings)
    tenants = load_tenants(settings.tenants_file)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    database = await patiently(
        lambda: Database.connect(
            settings.database_dsn, schema="scheduler", pool_size=settings.database_pool_size
        ),
        PATIENCE,
        name="database",
    )
    service.on_close(database.close)
    service.add_readiness("database", database.ping)
    bus = await open_bus(service, settings, "scheduler")
    outbox = Outbox(database, bus)
    context = Context(settings, tenants, database, bus, outbox, Ledger(settings.installation_id))
    async with database.transaction() as tx:
        await push.know(tx, tenants.clouds)
    service.spawn("outbox", outbox.run())
    _spawn_rounds(service, context)
    await _consume(context)
    service.on_drain(lambda: bus.drain(settings.drain_seconds))


def _spawn_rounds(service: Service, context: Context) -> None:
    settings = context.settings
    service.spawn("admission", admitting.run(context))
    service.spawn("timers", timers.run(context))
    service.spawn("measuring", measuring.run(context))
    for name, seconds, do in (
        ("inspect-waiting", settings.inspect_fast_seconds, inspections.inspect_waiting),
        ("census", settings.census_seconds, census.order_censuses),
        ("inspect-living", settings.inspect_slow_seconds, inspections.inspect_living),
        ("forget", retention.INTERVAL, retention.forget),
    ):
        service.spawn(name, timers.run_round(context, name, seconds, do))


async def _consume(context: Context) -> None:
    requests = partial(handle_request, context=context)
    await context.bus.consume("scheduler.requests", requests, refusals=REFUSALS)
    for queue, handler in (
        ("scheduler.events", handle_event),
        ("scheduler.dead_commands", handle_dead_command),
    ):
        await context.bus.consume(queue, partial(handler, context=context))
    answers = answering("scheduler", queries.QUERY_HANDLERS, context)
    await context.bus.serve_queries("scheduler", answers)
