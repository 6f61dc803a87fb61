"""A service that ends by itself is found, whatever is done to it afterwards."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.admin.settings import AdminSettings
from shared.runtime.settings import Secret
from tests.faults.world import World
from tests.support.cloud import Cloud, DefaultNetworks, Holdings
from tests.support.installation import Installation
from tests.support.webhooks import Receiver


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One process that runs and one that crashes; nothing here asks for a cloud."""
    nowhere, tenants = Secret("amqp://nowhere/test"), tmp_path / "tenants.yaml"
    tenants.write_text("tenants: {bigtop: {projects: {devcloud: project-1}}}\n")
    admin = AdminSettings(
        admin_amqp_url=(nowhere,),
        admin_amqp_management_url=nowhere,
        admin_database_dsn=nowhere,
        credentials_dir=tmp_path,
        tenants_file=tenants,
    )
    colobus = Installation("test", tmp_path, admin, {}, {}, {})
    colobus.processes["scheduler"] = subprocess.Popen(["sleep", "60"])
    colobus.processes["vm_worker"] = subprocess.Popen(["sh", "-c", "exit 3"])
    colobus.processes["vm_worker"].wait()
    yield World(colobus, cast(Cloud, None), Receiver(), "")
    for process in colobus.processes.values():
        process.kill()
        process.wait()


def test_what_was_killed_has_not_given_up(world: World) -> None:
    """It ended, but not by itself."""
    world.kill("scheduler")
    assert world.gave_up == []
    assert world.colobus.processes["scheduler"].returncode == -signal.SIGKILL


def test_what_has_crashed_is_found(world: World) -> None:
    """As long as it is down, it is seen."""
    assert world.ended() == ["vm_worker ended with 3"]


def test_what_had_crashed_before_it_was_to_be_killed_is_found(world: World) -> None:
    """Also when it was started again, as what was killed is."""
    world.kill("vm_worker")
    world.colobus.processes["vm_worker"] = subprocess.Popen(["sleep", "60"])
    assert world.ended() == ["vm_worker ended with 3"]


@dataclass
class LeftBehind:
    """A cloud that holds nothing but default networks: of these projects, one each."""

    projects: tuple[str, ...]
    cleared: bool = False

    def holds(self) -> Holdings:
        """Nothing."""
        return Holdings((), (), ())

    def default_networks(self) -> DefaultNetworks:
        """As Neutron would list them."""
        found = [
            SimpleNamespace(id=f"network-{number}", project_id=project)
            for number, project in enumerate(self.projects)
        ]
        return DefaultNetworks(tuple(found), (), (), ())

    def clear(self) -> None:
        """All goes."""
        self.cleared = True


@pytest.mark.parametrize(
    ("projects", "finding"),
    [
        (("project-1",), None),
        (("project-1", "project-1"), "doubled: bigtop has 2 default networks"),
        (("project-2",), r"leaked: nobody \(project project-2\) has default networks"),
    ],
)
def test_no_second_default_network_is_swept_away_unseen(
    world: World, projects: tuple[str, ...], finding: str | None
) -> None:
    """All goes in the end, but what should not have been there is told."""
    left = LeftBehind(projects)
    world.cloud = cast(Cloud, left)
    if finding is None:
        world.leave()
    else:
        with pytest.raises(AssertionError, match=finding):
            world.leave()
    assert left.cleared
