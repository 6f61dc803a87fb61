"""The worker's rooms before what the real ceph-iscsi answered, played back.

`make test-gateway` holds the recordings against the real one; `RECORD=1` makes them anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import exchanges
from tests.support.exchanges import MASK, Exchange, Occurrence, in_short, load
from tests.unit.iscsi_worker.ceph_iscsi import LOGIN, scripted_api
from tests.unit.iscsi_worker.playback import GATEWAY, PORTAL, playback
from tests.unit.iscsi_worker.scenarios import SCENARIOS
from tests.unit.iscsi_worker.scene import DISK, DISKS, POOL


def test_all_that_is_recorded_is_played_back() -> None:
    """And all that is to be played back was recorded."""
    assert exchanges.names() == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_takes_its_course(name: str, tmp_path: Path) -> None:
    """These calls, in this order, and no other."""
    async with playback(load(name), tmp_path) as stage:
        await SCENARIOS[name](stage)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_scripted_api_answers_as_the_real_one_did(name: str) -> None:
    """Where it is not told to fail: so that what is tested with it is worth something."""
    async with scripted_api() as (server, url), aiohttp.ClientSession() as session:
        server.hosts = {GATEWAY: PORTAL.rpartition(":")[0]}
        server.images = {DISK, *(f"{POOL}/{image}" for image in DISKS.images)}
        for moment in load(name).moments:
            if isinstance(moment, Occurrence):
                server.logged_in = {moment.initiator} if moment.what == "logged in" else set()
                server.aliases = {moment.initiator: moment.alias}
                continue
            async with session.request(
                moment.method,
                f"{url}/api/{moment.path}",
                data=_unmasked(moment) or None,
                headers={"Authorization": LOGIN},
            ) as response:
                told = Exchange(
                    moment.method, moment.path, moment.form, response.status, await response.json()
                )
            assert _what_counts(told) == _what_counts(moment), str(moment)


def _unmasked(exchange: Exchange) -> dict[str, str]:
    """The form with a password that is as good as the one that was sent."""
    good = exchange.status == 200
    password = "0123456789abcdef" if good else "short"
    return {name: password if one == MASK else one for name, one in exchange.form.items()}


def _what_counts(exchange: Exchange) -> Any:
    if exchange.path == "config":
        return in_short(exchange.answer)
    if exchange.path.startswith("clientinfo/") and exchange.status == 200:
        return exchange.answer["alias"], list(exchange.answer["state"])
    return exchange.status, exchange.message if exchange.status != 200 else ""


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_secret_is_recorded(name: str) -> None:
    """Neither of forms nor of settings."""

    def secrets(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [str(one) for key, one in value.items() if key.endswith("password") and one]
            return own + [found for one in value.values() for found in secrets(one)]
        return []

    for exchange in load(name).exchanges:
        assert set(secrets(dict(exchange.form)) + secrets(exchange.answer)) <= {MASK}
