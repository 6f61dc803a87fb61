from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.bus import Bus
from tests.support.broker import VirtualHost
from tests.support.bus import Broker, bus_at
from tests.support.proxy import Proxy


@pytest.fixture
async def broker(vhost: VirtualHost) -> AsyncIterator[Broker]:
    """The broker with all that the admin step declares."""
    async with Broker.of(vhost) as made:
        yield made


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    """A bus on it."""
    async with bus_at(broker.url) as made:
        yield made


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[Proxy]:
    """A cable to it that can be pulled."""
    async with Proxy.to(broker.url) as made:
        yield made
