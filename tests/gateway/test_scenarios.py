"""Every scenario on the real ceph-iscsi. `make test-gateway RECORD=1` keeps what it says.

Without that the recordings are held against what it says now: the fast tests believe them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devcloud.api import Supervisor
from tests.gateway.stage import recorded
from tests.gateway.world import World, make_world
from tests.support.exchanges import Exchange, Moment, in_short, load
from tests.unit.iscsi_worker.scenarios import SCENARIOS
from tests.unit.iscsi_worker.scene import INSTALLATION


@pytest.fixture(scope="module")
def world(
    cloud: Supervisor, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A store of the installation that scenarios are about."""
    folder = tmp_path_factory.mktemp("world")
    with make_world(cloud, environment, folder, INSTALLATION) as made:
        yield made


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_is_as_recorded(name: str, world: World, pytestconfig: pytest.Config) -> None:
    """The calls, and what is the same each time of the answers."""
    async with recorded(world, name) as stage:
        await SCENARIOS[name](stage)
    if pytestconfig.getoption("--record-exchanges"):
        stage.recording.save()
    known = load(name)
    assert [_essence(one) for one in stage.recording.moments] == [
        _essence(one) for one in known.moments
    ]


def _essence(moment: Moment) -> Any:
    """What is the same whenever the same is done: no numbers and times of the gateway's."""
    if not isinstance(moment, Exchange):
        return moment
    answer = in_short(moment.answer) if moment.path == "config" else moment.answer
    return moment.method, moment.path, dict(moment.form), moment.status, answer
