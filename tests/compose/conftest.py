"""An engine for all of these tests, and the cloud that the containers use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.compose.composed import Composed, composed
from tests.compose.engine import Engine, engine
from tests.support import devcloud
from tests.support.cloud import Cloud


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up("catalog", "nova")


@pytest.fixture(scope="session")
def containers(environment: dict[str, str]) -> Iterator[Engine]:
    """A container engine."""
    with engine() as found:
        yield found


@contextmanager
def _installation(
    containers: Engine, environment: dict[str, str], folder: Path, *overrides: str
) -> Iterator[Composed]:
    with composed(containers, environment, folder, *overrides) as made:
        yield made
        services = [s for s in made.compose("ps", "--services").split() if "_" in s]
        made.compose("stop", *services)
        Cloud(environment, made.name).clear()


@pytest.fixture(scope="module")
def single(
    containers: Engine, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    """One broker, one of each service."""
    with _installation(containers, environment, tmp_path_factory.mktemp("single")) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(
    containers: Engine, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    """Three brokers, two of each service."""
    folder = tmp_path_factory.mktemp("cluster")
    with _installation(containers, environment, folder, "compose.cluster.yaml") as made:
        yield made
