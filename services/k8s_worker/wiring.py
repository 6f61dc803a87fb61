"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.k8s_worker.clouds import MagnumBackend
from services.k8s_worker.context import Context, backend_of
from services.k8s_worker.handlers import HANDLERS
from services.k8s_worker.kubernetes_api import KubernetesApi
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import CLUSTER, WORKER, Kit
from services.k8s_worker.queries import QUERY_HANDLERS
from services.k8s_worker.settings import K8sWorkerSettings
from services.k8s_worker.templates_file import load_recipes
from shared.bus import Bus, answering
from shared.openstack.connections import HttpBounds
from shared.runtime.health import serve_health
from shared.runtime.secrets import SealingKey
from shared.runtime.service import Service, patiently
from shared.runtime.settings import load
from shared.runtime.tenants import Tenants, load_tenants
from shared.worker.command_worker import CommandWorker
from shared.worker.limits import Limits
from shared.worker.marks import Marks

#: How long the broker is waited for at the start, in seconds.
PATIENCE = 60
#: Threads beyond those of commands: inspections and queries don't wait for them.
_SPARE_THREADS = 8


async def wire(service: Service) -> None:
    """Connect and consume. The clouds are first asked by the first command."""
    settings = load(K8sWorkerSettings)
    tenants = load_tenants(settings.tenants_file)
    backend = make_backend(settings, tenants)
    context = make_context(settings, tenants, backend)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    service.on_close(backend.close)
    service.on_close(context.lookout.close)
    service.on_close(context.rounds.close)
    bus = await patiently(
        lambda: Bus.connect(settings.amqp_urls, name=WORKER, trust=settings.amqp_trust),
        PATIENCE,
        name="broker",
    )
    service.on_close(bus.close)
    service.add_readiness("broker", bus.connected)
    service.spawn("bus", bus.wait_failed())
    await bus.check_topology()
    limits = Limits(WORKER, backend_of, maximum=settings.cloud_concurrency)
    worker = CommandWorker(WORKER, bus, HANDLERS, context, kind=CLUSTER, limits=limits)
    await worker.start(prefetch=settings.command_prefetch)
    await bus.serve_queries(WORKER, answering(WORKER, QUERY_HANDLERS, context))
    service.on_drain(lambda: bus.drain(settings.drain_seconds))


def make_backend(settings: K8sWorkerSettings, tenants: Tenants) -> MagnumBackend:
    """Open the clouds file; raises `ConfigurationError` when it lacks a cloud of a tenant."""
    threads = settings.cloud_concurrency + _SPARE_THREADS
    bounds = HttpBounds(settings.cloud_connect_seconds, settings.cloud_read_seconds, threads)
    backend = MagnumBackend(settings.clouds_file, tenants, bounds=bounds, threads=threads)
    backend.check()
    return backend


def make_context(settings: K8sWorkerSettings, tenants: Tenants, backend: MagnumBackend) -> Context:
    """Put together what handlers get; raises `ConfigurationError` for a bad file of templates."""
    kit = Kit(
        marks=Marks(settings.installation_id, WORKER),
        recipes=load_recipes(settings.cluster_templates_file),
    )
    key = SealingKey.load(settings.sealing_key_file)
    return Context(backend, tenants, Lookout(KubernetesApi), kit, key)
