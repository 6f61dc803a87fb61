"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.iscsi_worker.context import Context
from services.iscsi_worker.handlers import HANDLERS
from services.iscsi_worker.names import Names
from services.iscsi_worker.phone import Phone
from services.iscsi_worker.phone_home import phone_home_app
from services.iscsi_worker.provisioner.kit import WORKER, Kit
from services.iscsi_worker.queries import QUERY_HANDLERS
from services.iscsi_worker.rbd_backend import vendor
from services.iscsi_worker.settings import IscsiWorkerSettings
from services.iscsi_worker.stores import Bounds, RealStores
from services.iscsi_worker.stores_file import load_stores
from shared.runtime.health import serve, serve_health
from shared.runtime.secrets import SealingKey, master_key
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.worker.chap import Chap
from shared.worker.serving import serve_commands

#: The word of the routing keys of events that are about no resource of this worker's.
KIND = "store"
#: Threads beyond those of commands: inspections and queries don't wait for them.
_SPARE_THREADS = 4


async def wire(service: Service) -> None:
    """Connect and consume. Stores are first asked by the first command; they may be down."""
    settings = load(IscsiWorkerSettings)
    context = make_context(settings)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    service.on_close(context.stores.close)
    if context.kit.phone is not None:
        app = phone_home_app(context.kit.phone, context.kit.names, context.stores)
        await serve(app, service, settings.phone_home_host, settings.phone_home_port)
    await serve_commands(
        service,
        settings,
        HANDLERS,
        context,
        name=WORKER,
        kind=KIND,
        at_once=settings.store_concurrency,
        queries=QUERY_HANDLERS,
    )


def make_context(settings: IscsiWorkerSettings) -> Context:
    """Put together what handlers get.

    Raises `ConfigurationError`: stores file, a key, or Ceph's libraries missing.
    """
    vendor()
    bounds = Bounds(
        ceph=settings.ceph_seconds,
        gateway=settings.gateway_seconds,
        threads=settings.store_concurrency + _SPARE_THREADS,
    )
    stores = RealStores(load_stores(settings.stores_file), bounds)
    key, url = master_key(settings.chap_key), settings.phone_home_url
    kit = Kit(
        Names(settings.installation_id),
        Chap(key),
        SealingKey.load(settings.sealing_key_file),
        None if url is None else Phone(url, key),
    )
    return Context(stores, kit)
