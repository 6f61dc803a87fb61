"""Puts the front door together, once; everything is closed in reverse."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp

from services.front_door import event_handlers, republisher, retention, wakeups
from services.front_door.application import make_application
from services.front_door.auth import Authenticator
from services.front_door.callback_urls import CallbackUrls
from services.front_door.context import FrontDoor
from services.front_door.keystone import Keystone
from services.front_door.rate_limit import RateLimit
from services.front_door.request_store import CONFIRMED_CHANNEL, RequestStore
from services.front_door.settings import FrontDoorSettings
from services.front_door.submission import Submitter
from services.front_door.timeline import STATUS_CHANNEL
from services.front_door.wakeups import Slots, Wakeups
from shared.bus import Bus
from shared.contract import topology
from shared.contract.kinds import KINDS
from shared.contract.topology import Binding
from shared.runtime import secrets
from shared.runtime.errors import ConfigurationError
from shared.runtime.health import serve
from shared.runtime.lifecycle import Service
from shared.runtime.patience import patiently
from shared.runtime.settings import load
from shared.runtime.tenants import load_tenants
from shared.runtime.tls import Trust
from shared.storage import Database

NAME = "front_door"
#: How long database and broker may take to be there when we start, in seconds.
PATIENCE = 60
#: A claim outlives the publishing that it is for by this many seconds.
_CLAIM_MARGIN = 5


async def wire(service: Service) -> None:
    """Wire the service from its environment."""
    await start(service, load(FrontDoorSettings))


async def start(service: Service, settings: FrontDoorSettings) -> FrontDoor:
    """Connect, consume, and serve HTTP; return the parts."""
    _check_sealing_keys(settings)
    tenants = load_tenants(settings.tenants_file)
    master = secrets.master_key(settings.master_key)
    database = await patiently(lambda: _database(settings), PATIENCE, name="database")
    service.on_close(database.close)
    bus = await Bus.connect(settings.amqp_urls, name=NAME, trust=settings.amqp_trust)
    service.on_close(bus.close)
    await bus.check_topology()
    keystones = Trust(settings.keystone_ca_file).context()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32, ssl=keystones))
    service.on_close(session.close)

    waiting = Wakeups()
    store = RequestStore(database, claim_seconds=settings.confirm_seconds + _CLAIM_MARGIN)
    source = f"/front_door/{settings.installation_id}"
    submitter = Submitter(
        store,
        bus,
        waiting,
        source=source,
        digest_key=secrets.derive(master, NAME, "idempotency"),
        confirm_seconds=settings.confirm_seconds,
    )
    parts = FrontDoor(
        settings=settings,
        database=database,
        bus=bus,
        authenticator=Authenticator(tenants, Keystone(settings.keystone_urls, session)),
        submitter=submitter,
        wakeups=waiting,
        rate_limit=RateLimit(settings.rate_limit, settings.rate_burst),
        callback_urls=CallbackUrls(settings.webhook_allowed_networks),
        streams=Slots("streams", settings.max_streams),
        waits=Slots("waits", settings.max_waits),
        source=source,
        webhook_id_key=secrets.derive(master, NAME, "webhook-ids"),
        has_stores=bool(tenants.stores),
    )
    await _listen(service, parts)
    await _consume(service, parts)
    service.spawn(
        "republisher", republisher.republish(store, submitter, every=settings.republish_seconds)
    )
    service.spawn(
        "cleanup",
        retention.run(
            database,
            requests=(remembered := timedelta(hours=settings.idempotency_hours)),
            # Not before the keys under which it may still be asked for.
            resources=max(remembered, timedelta(days=settings.retention_days)),
        ),
    )
    service.add_readiness("database", database.ping)
    service.add_readiness("broker", bus.connected)
    await serve(
        make_application(parts, service),
        service,
        settings.http_host,
        settings.http_port,
        certificate=settings.http_certificate,
    )
    return parts


async def _database(settings: FrontDoorSettings) -> Database:
    return await Database.connect(
        settings.database_dsn, schema=NAME, pool_size=settings.database_pool_size
    )


async def _listen(service: Service, parts: FrontDoor) -> None:
    """Be woken by all replicas, this one included."""
    stack = AsyncExitStack()
    service.on_close(stack.aclose)
    listen = parts.database.listen
    await stack.enter_async_context(listen(STATUS_CHANNEL, wakeups.status_notified(parts.wakeups)))
    await stack.enter_async_context(
        listen(CONFIRMED_CHANNEL, wakeups.confirm_notified(parts.wakeups))
    )


async def _consume(service: Service, parts: FrontDoor) -> None:
    await parts.bus.consume(
        "front_door.status", event_handlers.resource_status_changed(parts.database)
    )
    await parts.bus.subscribe_live(
        [Binding(topology.EVENTS, "#")], event_handlers.progress_shown(parts.wakeups)
    )
    service.spawn("bus", parts.bus.wait_failed())

    async def drain() -> None:
        parts.wakeups.close()
        await parts.bus.drain(parts.settings.drain_seconds)

    service.on_drain(drain)


def _check_sealing_keys(settings: FrontDoorSettings) -> None:
    for kind in KINDS.values():
        if not kind.secrets:
            continue
        try:
            secrets.seal(settings.sealing_public_keys.get(kind.opener, ""), b"")
        except ValueError as error:
            name = f"COLOBUS_SEALING_PUBLIC_KEYS: {kind.opener}"
            raise ConfigurationError(f"{name}: {error}") from error
