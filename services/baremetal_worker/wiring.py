"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.baremetal_worker.context import Context, backend_of
from services.baremetal_worker.handlers import HANDLERS
from services.baremetal_worker.ironic_backend import HttpBounds
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.metals import RealMetals
from services.baremetal_worker.metals_file import load_metals
from services.baremetal_worker.provisioner.kit import WORKER, Kit
from services.baremetal_worker.settings import BaremetalWorkerSettings
from shared.bus import Bus
from shared.runtime.health import serve_health
from shared.runtime.secrets import master_key
from shared.runtime.service import Service, patiently
from shared.runtime.settings import load
from shared.worker.chap import Chap
from shared.worker.command_worker import CommandWorker
from shared.worker.limits import Limits

#: How long the broker is waited for at the start, in seconds.
PATIENCE = 60
#: Threads beyond those of commands: inspections don't wait for them.
_SPARE_THREADS = 4


async def wire(service: Service) -> None:
    """Connect and consume. Metals are first asked by the first command; they may be down."""
    settings = load(BaremetalWorkerSettings)
    context = make_context(settings)
    await serve_health(
        service, settings.http_host, settings.http_port, certificate=settings.http_certificate
    )
    service.on_close(context.metals.close)
    bus = await patiently(
        lambda: Bus.connect(settings.amqp_urls, name=WORKER, trust=settings.amqp_trust),
        PATIENCE,
        name="broker",
    )
    service.on_close(bus.close)
    service.add_readiness("broker", bus.connected)
    service.spawn("bus", bus.wait_failed())
    await bus.check_topology()
    limits = Limits(WORKER, backend_of, maximum=settings.metal_concurrency)
    worker = CommandWorker(WORKER, bus, HANDLERS, context, kind="machine", limits=limits)
    await worker.start(prefetch=settings.command_prefetch)
    service.on_drain(lambda: bus.drain(settings.drain_seconds))


def make_context(settings: BaremetalWorkerSettings) -> Context:
    """Put together what handlers get.

    Raises `ConfigurationError`: metals file, clouds file, CHAP key.
    """
    threads = settings.metal_concurrency + _SPARE_THREADS
    metals = RealMetals(
        load_metals(settings.metals_file),
        settings.clouds_file,
        bounds=HttpBounds(
            settings.ironic_connect_seconds, settings.ironic_read_seconds, connections=threads
        ),
        threads=threads,
    )
    kit = Kit(
        marks=Marks(settings.installation_id, WORKER),
        chap=Chap(master_key(settings.chap_key)),
        reserve_seconds=settings.reserve_seconds,
        quarantine_seconds=settings.quarantine_seconds,
    )
    return Context(metals, kit)
