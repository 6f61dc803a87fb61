"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.stack_worker.clouds import HeatBackend
from services.stack_worker.context import Context
from services.stack_worker.handlers import HANDLERS
from services.stack_worker.provisioner import STACK, WORKER, Kit
from services.stack_worker.settings import StackWorkerSettings
from services.stack_worker.templates import Templates
from shared.openstack.connections import HttpBounds
from shared.runtime.health import serve_health
from shared.runtime.secrets import SealingKey
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.runtime.tenants import Tenants, load_tenants
from shared.worker.marks import Marks
from shared.worker.serving import serve_commands

#: Threads beyond those of commands: inspections don't wait for them.
_SPARE_THREADS = 8


async def wire(service: Service) -> None:
    """Connect and consume. The clouds are first asked by the first command."""
    settings = load(StackWorkerSettings)
    tenants = load_tenants(settings.tenants_file)
    backend = make_backend(settings, tenants)
    context = make_context(settings, tenants, backend)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    service.on_close(backend.close)
    await serve_commands(
        service,
        settings,
        HANDLERS,
        context,
        name=WORKER,
        kind=STACK,
        at_once=settings.cloud_concurrency,
    )


def make_backend(settings: StackWorkerSettings, tenants: Tenants) -> HeatBackend:
    """Open the clouds file; raises `ConfigurationError` when it lacks a cloud of a tenant."""
    threads = settings.cloud_concurrency + _SPARE_THREADS
    bounds = HttpBounds(settings.cloud_connect_seconds, settings.cloud_read_seconds, threads)
    backend = HeatBackend(settings.clouds_file, tenants, bounds=bounds, threads=threads)
    backend.check()
    return backend


def make_context(settings: StackWorkerSettings, tenants: Tenants, backend: HeatBackend) -> Context:
    """Put together what handlers get."""
    kit = Kit(
        marks=Marks(settings.installation_id, WORKER),
        sealing_key=SealingKey.load(settings.sealing_key_file),
        templates=Templates.load(settings.templates_dir),
    )
    return Context(backend, tenants, kit)
