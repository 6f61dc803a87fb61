"""What an `up` brings up, and in which order, of parts that do nothing but say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from devcloud.component import Component
from devcloud.processes import Daemon
from devcloud.supervisor import Supervisor
from tests.unit.devcloud.sites import site_in

#: What was started or stopped, in order; what runs.
told: list[str] = []
running: set[str] = set()


class Part(Component):
    """A part whose process is only a name."""

    def daemons(self) -> Sequence[Daemon]:
        return (Daemon(self.name, ["true"]),)

    def running(self) -> bool:
        return self.name in running

    def start(self) -> None:
        told.append(self.name)
        running.add(self.name)

    def stop(self) -> None:
        told.append(f"-{self.name}")
        running.discard(self.name)


class Network(Part):
    """Somebody to look at."""

    name = "network"
    by_default = False


class Storage(Part):
    """Somebody to need."""

    name = "storage"


class Target(Part):
    """Looks whether there is a network."""

    name = "target"
    requires: ClassVar[tuple[str, ...]] = ("storage",)
    after: ClassVar[tuple[str, ...]] = ("network",)


class Worker(Part):
    """Looks, too, and needs the other."""

    name = "worker"
    requires: ClassVar[tuple[str, ...]] = ("target",)
    after: ClassVar[tuple[str, ...]] = ("network",)


class Built(Part):
    """Takes long to be configured."""

    name = "built"

    def configured(self) -> bool:
        return self.site.is_done(self.name)

    def configure(self) -> None:
        self.tell("half of it is built")
        self.site.mark_done(self.name)


@pytest.fixture
def cloud(tmp_path: Path) -> Supervisor:
    told.clear()
    running.clear()
    return Supervisor(site_in(tmp_path), (Worker, Target, Storage, Network))


def test_whoever_looks_at_another_comes_after_it(cloud: Supervisor) -> None:
    """Where both are brought up."""
    cloud.up(["worker", "network"])
    assert told.index("network") < told.index("target") < told.index("worker")


def test_nobody_is_brought_up_for_being_looked_at(cloud: Supervisor) -> None:
    """That is what distinguishes it from being wanted."""
    cloud.up()
    assert "network" not in told


def test_who_runs_looks_again_when_there_is_something_new(cloud: Supervisor) -> None:
    """After what is looked at, with all that it needs itself."""
    cloud.up()
    told.clear()
    cloud.up(["network"])
    assert sorted(told) == ["network", "storage", "target", "worker"]
    assert told.index("network") < told.index("target") < told.index("worker")


def test_who_does_not_run_is_left_alone(cloud: Supervisor) -> None:
    """Asking for the network means nothing else."""
    cloud.up(["network"])
    assert told == ["network"]


def test_who_looks_is_stopped_before(cloud: Supervisor) -> None:
    """Down is up in reverse."""
    cloud.up(["worker", "network"])
    told.clear()
    cloud.down()
    assert told.index("-worker") < told.index("-target") < told.index("-network")


def test_what_another_version_has_started_is_stopped_too(tmp_path: Path) -> None:
    """Its component is not of this code's table; its record is there."""
    site = site_in(tmp_path)
    site.processes.spawn(Daemon("of-another-version", ["sleep", "600"]))
    assert site.processes.pid("of-another-version") is not None
    Supervisor(site, (Storage,)).down()
    assert site.processes.pid("of-another-version") is None
    assert site.processes.recorded() == set()


def test_how_far_a_long_configuring_is_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the component tells it, the one time that it is done."""
    cloud = Supervisor(site_in(tmp_path), (Built,))
    cloud.up()
    assert "built: half of it is built" in capsys.readouterr().err
    cloud.up()
    assert "built: half of it is built" not in capsys.readouterr().err
