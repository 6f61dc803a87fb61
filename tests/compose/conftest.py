"""An engine for all of these tests, and the cloud that the containers use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.compose.composed import Composed, composed
from tests.compose.engine import Engine, engine
from tests.support import devcloud
from tests.support.cloud import Cloud
from tests.support.tls import Authority


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
def _kept(session: pytest.Session, name: str) -> Iterator[Path]:
    """Where logs go; they stay when a test has failed, beside those of the fault harness."""
    folder = Path(tempfile.gettempdir()) / "colobus-compose"
    folder.mkdir(exist_ok=True)
    logs, failed = folder / f"{name}.log", session.testsfailed
    yield logs  # whatever is raised here leaves them, too
    if session.testsfailed == failed:
        logs.unlink(missing_ok=True)


@contextmanager
def _installation(
    containers: Engine,
    environment: dict[str, str],
    folder: Path,
    logs: Path,
    *overrides: str,
    settings: Mapping[str, str] = MappingProxyType({}),
    files: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Composed]:
    with composed(
        containers, environment, folder, logs, *overrides, settings=settings, files=files
    ) as made:
        yield made
        services = [s for s in made.compose("ps", "--services").split() if "_" in s]
        made.compose("stop", *services)
        Cloud(environment, made.name).clear()


@pytest.fixture(scope="module")
def single(
    request: pytest.FixtureRequest,
    containers: Engine,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """One broker, one of each service."""
    folder = tmp_path_factory.mktemp("single")
    with (
        _kept(request.session, "single") as logs,
        _installation(containers, environment, folder, logs) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest,
    containers: Engine,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """Three brokers, two of each service."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        _kept(request.session, "cluster") as logs,
        _installation(containers, environment, folder, logs, "compose.cluster.yaml") as made,
    ):
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the broker."""
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def published(
    request: pytest.FixtureRequest,
    containers: Engine,
    environment: dict[str, str],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """One broker that CI systems reach, and all services that want no store."""
    certificate, key = authority.issue()
    files = {
        "broker.pem": certificate.read_text(),
        "broker.key": key.read_text(),
        "cluster_templates.yaml": "versions: []\n",
    }
    settings = {"COLOBUS_BUS_PORT": "0", "COMPOSE_PROFILES": "clusters,stacks"}
    folder = tmp_path_factory.mktemp("published")
    with (
        _kept(request.session, "published") as logs,
        _installation(
            *(containers, environment, folder, logs, "compose.bus.yaml"),
            settings=settings,
            files=files,
        ) as made,
    ):
        yield made
