"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.k8s_worker.clouds import MagnumBackend
from services.k8s_worker.context import Context, backend_of
from services.k8s_worker.handlers import HANDLERS
from services.k8s_worker.kit import CLUSTER, WORKER, Kit
from services.k8s_worker.kubernetes_api import KubernetesApi
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.queries import QUERY_HANDLERS
from services.k8s_worker.settings import K8sWorkerSettings
from services.k8s_worker.templates_file import load_recipes
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
    await serve_commands(
        service,
        settings,
        HANDLERS,
        context,
        name=WORKER,
        kind=CLUSTER,
        at_once=settings.cloud_concurrency,
        queries=QUERY_HANDLERS,
        backend_of=backend_of,
    )


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
