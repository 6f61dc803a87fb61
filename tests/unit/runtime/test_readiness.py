"""Whether a service is ready, asked at any moment of its life."""

from __future__ import annotations

from shared.runtime.health import check_readiness
from shared.runtime.lifecycle import Service


async def test_a_check_that_comes_while_others_are_asked_is_asked_next_time() -> None:
    """Probes come during the wiring, too."""
    service = Service("test")

    async def asked() -> bool:
        service.add_readiness("broker", lambda: False)
        return True

    service.add_readiness("database", asked)
    first = await check_readiness(service)
    assert first.checks == {"database": "ok", "wiring": "not finished"}
    assert not first.ready
    assert "broker" in (await check_readiness(service)).checks
