"""What the benchmarks take from a cloud's notifications, on a real broker that plays its part."""

from __future__ import annotations

from datetime import UTC, datetime

import aiormq

from benchmarks import cloud_told
from tests.support.broker import VirtualHost
from tests.support.bus import until
from tests.unit.vm_worker.test_notifications import MARKS, VM, body

#: As recorded.
_END = datetime(2026, 11, 23, 21, 22, 58, 336305, tzinfo=UTC)


async def test_the_end_of_a_creation_has_its_time_to_the_microsecond(vhost: VirtualHost) -> None:
    """Not when it began, nor what followed it."""
    connection = await aiormq.connect(vhost.url)
    channel = await connection.channel()
    await channel.exchange_declare("nova", exchange_type="topic")
    async with cloud_told.listening(vhost.url, MARKS) as made:
        for name in ("instance.create.start", "instance.create.end", "instance.reboot.end"):
            await channel.basic_publish(
                body(name), exchange="nova", routing_key="versioned_notifications.info"
            )
        await until(lambda: bool(made))
        assert made == {VM: _END}
    await connection.close()
