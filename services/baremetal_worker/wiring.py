"""The worker's parts, put together once and closed in reverse."""

from __future__ import annotations

from services.baremetal_worker.context import Context
from services.baremetal_worker.handlers import HANDLERS
from services.baremetal_worker.ironic_backend import HttpBounds
from services.baremetal_worker.marks import Marks
from services.baremetal_worker.metals import RealMetals
from services.baremetal_worker.metals_file import load_metals
from services.baremetal_worker.provisioner.kit import WORKER, Kit
from services.baremetal_worker.settings import BaremetalWorkerSettings
from shared.runtime.health import serve_health
from shared.runtime.secrets import master_key
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.worker.chap import Chap
from shared.worker.serving import serve_commands

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
    await serve_commands(
        service,
        settings,
        HANDLERS,
        context,
        name=WORKER,
        kind="machine",
        at_once=settings.metal_concurrency,
    )


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
