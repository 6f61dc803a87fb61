from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.broker import VirtualHost
from tests.support.bus import Broker


@pytest.fixture
async def broker(vhost: VirtualHost) -> AsyncIterator[Broker]:
    """The broker with all that the admin step declares."""
    async with Broker.of(vhost) as made:
        yield made
