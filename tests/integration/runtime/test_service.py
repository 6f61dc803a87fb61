"""The life of a service, seen from outside: signals, exit codes, health."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from tests.integration.runtime.process import SECONDS, get, started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_then_closes_in_reverse_and_exits_0(number: signal.Signals) -> None:
    """Work ends first, then background tasks and parts, the last made first."""
    async with started("plainly") as service:
        await service.until("ready")
        service.process.send_signal(number)
        assert await service.exit_code() == 0
    order = ["draining", "drained", "loop cancelled", "closed second", "closed first", "stopped"]
    assert [line["event"] for line in service.lines if line["event"] in order] == order


@pytest.mark.parametrize("how", ["with_a_task_that_raises", "with_a_task_that_returns"])
async def test_a_background_task_that_ends_ends_the_process(how: str) -> None:
    """It is logged by name, the rest is closed in order, and the exit code tells."""
    async with started(how) as service:
        line = await service.until("background task ended")
        assert (line["task"], line["level"]) == ("doomed", "critical")
        assert await service.exit_code() == 1
    assert "closed first" in [line["event"] for line in service.lines]


async def test_while_draining_it_is_alive_but_not_ready() -> None:
    """Who balances load sends nothing more; who restarts the dead leaves it alone."""
    async with started("with_a_drain_that_waits") as service:
        port = await service.port()
        await service.until("ready")
        assert await get(port, "/readyz") == (200, '{"ready":true,"checks":{"note":"ok"}}')
        service.process.send_signal(signal.SIGTERM)
        await service.until("draining")
        assert await get(port, "/healthz") == (200, "ok\n")
        status, body = await get(port, "/readyz")
        assert (status, json.loads(body)["checks"]["draining"]) == (503, "stopping")
        assert await service.exit_code() == 0


async def test_a_second_signal_exits_at_once() -> None:
    """Whoever can't wait says so."""
    async with started("with_a_drain_that_never_ends") as service:
        await service.until("ready")
        service.process.send_signal(signal.SIGINT)
        await service.until("draining")
        service.process.send_signal(signal.SIGINT)
        assert await service.exit_code() == 1
    assert "closed first" not in [line["event"] for line in service.lines]


async def test_a_drain_that_takes_too_long_is_cut() -> None:
    """The time to drain is a bound; what was to be closed is closed all the same."""
    async with started("with_a_drain_that_never_ends", COLOBUS_DRAIN_SECONDS="0.5") as service:
        await service.until("ready")
        service.process.send_signal(signal.SIGTERM)
        await service.until("took too long to stop")
        assert await service.exit_code() == 0
    assert "closed first" in [line["event"] for line in service.lines]


async def test_each_failing_check_is_told() -> None:
    """Readiness names what is wrong; the process itself lives."""
    async with started("with_a_check_that_fails") as service:
        port = await service.port()
        await service.until("ready")
        status, body = await get(port, "/readyz")
        assert status == 503
        assert json.loads(body) == {
            "ready": False,
            "checks": {"good": "ok", "false": "failed", "raises": "TemporaryError: no database"},
        }
        assert (await get(port, "/healthz"))[0] == 200


async def test_metrics_tell_what_runs() -> None:
    """Prometheus finds the build and the process."""
    async with started("plainly") as service:
        status, body = await get(await service.port(), "/metrics")
    assert status == 200
    assert "colobus_build_info{" in body
    assert 'service="sample"' in body
    assert "process_cpu_seconds_total" in body


async def test_a_part_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    """Its fault is logged and shows in the exit code."""
    async with started("with_a_closer_that_fails") as service:
        await service.until("ready")
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code() == 1
    events = [line["event"] for line in service.lines]
    assert "failed to stop cleanly" in events
    assert "closed first" in events


async def test_while_wiring_it_is_not_ready_and_can_be_stopped() -> None:
    """Waiting for a database that never comes is no reason not to stop."""
    async with started("with_an_endless_wiring") as service:
        port = await service.port()
        await service.until("waiting for ever")
        assert (await get(port, "/readyz"))[0] == 503
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code() == 0
    assert "closed first" in [line["event"] for line in service.lines]


async def test_wrong_settings_are_told_together_in_one_line() -> None:
    """All faults, no traceback, exit code 1."""
    async with started(
        "plainly", COLOBUS_HTTP_PORT="x", COLOBUS_AMQP_URLS="", COLOBUS_DRAIN_SECONDS="-1"
    ) as service:
        line = await service.until("cannot start: wrong settings")
        assert await service.exit_code() == 1
    assert len(line["faults"]) == 3
    assert "exception" not in line


@pytest.mark.parametrize(
    ("how", "has_traceback"), [("with_a_missing_file", False), ("with_a_bug", True)]
)
async def test_wiring_that_fails_says_why(how: str, has_traceback: bool) -> None:
    """In one line what an operator can mend, with a traceback what we must."""
    async with started(how) as service:
        line = await service.until("cannot start")
        assert await service.exit_code() == 1
    assert ("exception" in line) is has_traceback
    assert has_traceback or "tenants.yaml" in line["cause"]


async def test_a_port_in_use_is_told() -> None:
    """Two services on one port is an operator's mistake."""
    async with started("plainly") as first:
        port = await first.port()
        async with started("plainly", COLOBUS_HTTP_PORT=str(port)) as second:
            line = await second.until("cannot start")
            async with asyncio.timeout(SECONDS):
                assert await second.exit_code() == 1
    assert "address already in use" in line["cause"]
