"""PostgreSQL: killed, and started anew at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from devcloud.api import Supervisor
from devcloud.environment import cloud_environment
from tests.support.devcloud import own_cloud


@pytest.fixture
def cloud() -> Iterator[Supervisor]:
    """A server of this test's own."""
    with own_cloud("test-postgresql") as made:
        made.up(["postgresql"])
        yield made


def test_a_killed_server_starts_anew_though_one_of_its_processes_lingers(cloud: Supervisor) -> None:
    """Whoever serves a client ends later than the server; stopped, it would never end."""
    dsn = cloud_environment(cloud.site)["DEVCLOUD_POSTGRES_DSN"]
    with psycopg.connect(dsn, autocommit=True) as before:
        backend = psutil.Process(before.info.backend_pid)
        backend.send_signal(signal.SIGSTOP)
        cloud.kill("postgresql")
        assert backend.is_running()
        cloud.start("postgresql")
        assert not backend.is_running()
    with psycopg.connect(dsn) as after:
        assert after.execute("SELECT 1").fetchone() == (1,)
