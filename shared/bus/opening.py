"""A service's bus: waited for at its start, watched while it runs, closed at its end."""

from __future__ import annotations

from shared.bus.bus import Bus
from shared.runtime.service import Service, patiently
from shared.runtime.settings import CommonSettings

#: How long the broker is waited for at the start, in seconds.
PATIENCE = 60


async def open_bus(service: Service, settings: CommonSettings, name: str) -> Bus:
    """Connect as ``name``; the service is ready while that lasts, and ends when it is given up.

    Raises `ConfigurationError` where the topology is not installed, or is another version's.
    """
    bus = await patiently(
        lambda: Bus.connect(settings.amqp_urls, name=name, trust=settings.amqp_trust),
        PATIENCE,
        name="broker",
    )
    service.on_close(bus.close)
    service.add_readiness("broker", bus.connected)
    service.spawn("bus", bus.wait_failed())
    await bus.check_topology()
    return bus
