"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.vm_worker.context import Context
from services.vm_worker.handlers import HANDLERS
from services.vm_worker.listening import listen
from services.vm_worker.openstack_calls.clouds import OpenStackBackend
from services.vm_worker.provisioner.default_network import DefaultNetworks, Plan
from services.vm_worker.provisioner.kit import WORKER, Kit
from services.vm_worker.queries import QUERY_HANDLERS
from services.vm_worker.settings import VmWorkerSettings
from shared.openstack.connections import HttpBounds
from shared.runtime.health import serve_health
from shared.runtime.secrets import SealingKey
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.runtime.tenants import Tenants, load_tenants
from shared.worker.marks import Marks
from shared.worker.serving import serve_commands

#: Threads beyond those of commands: inspections and queries don't wait for them.
_SPARE_THREADS = 8


async def wire(service: Service) -> None:
    """Connect and consume. The clouds are first asked by the first command."""
    settings = load(VmWorkerSettings)
    tenants = load_tenants(settings.tenants_file)
    backend = make_backend(settings, tenants)
    context = make_context(settings, tenants, backend)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    service.on_close(backend.close)
    bus = await serve_commands(
        service,
        settings,
        HANDLERS,
        context,
        name=WORKER,
        kind="vm",
        at_once=settings.cloud_concurrency,
        queries=QUERY_HANDLERS,
    )
    listen(service, settings, context, bus)


def make_backend(settings: VmWorkerSettings, tenants: Tenants) -> OpenStackBackend:
    """Open the clouds file; raises `ConfigurationError` when it lacks a cloud of a tenant."""
    threads = settings.cloud_concurrency + _SPARE_THREADS
    backend = OpenStackBackend(
        settings.clouds_file,
        tenants,
        bounds=HttpBounds(settings.cloud_connect_seconds, settings.cloud_read_seconds, threads),
        threads=threads,
        dns_servers=settings.default_network_dns,
    )
    backend.check()
    return backend


def make_context(
    settings: VmWorkerSettings, tenants: Tenants, backend: OpenStackBackend
) -> Context:
    """Put together what handlers get."""
    marks = Marks(settings.installation_id, WORKER)
    plan = Plan(cidr=str(settings.default_network_cidr), external_network=settings.external_network)
    kit = Kit(
        marks=marks,
        sealing_key=SealingKey.load(settings.sealing_key_file),
        default_networks=DefaultNetworks(plan, marks),
        external_network=settings.external_network,
    )
    return Context(backend, tenants, kit)
