"""One world for all seeds that leave it good, and the table of what became of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.report import Report
from tests.faults.shared import Shared, shared
from tests.faults.world import PARTS, World, a_world, installed
from tests.support import devcloud
from tests.support.cloud import Cloud

_REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the report."""
    config.stash[_REPORT] = Report()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cloud."""
    for item in items:
        if "tests/faults" in item.nodeid:
            item.add_marker(pytest.mark.openstack)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what became of each seed."""
    for line in config.stash[_REPORT].lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Where results are gathered for the summary."""
    return pytestconfig.stash[_REPORT]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up(*PARTS)


@pytest.fixture(scope="session")
def logs() -> Path:
    """Where what failed leaves its logs, or (in a folder that was asked for) everything does."""
    folder = Path(os.environ.get("COLOBUS_FAULTS_DIR") or tempfile.gettempdir()) / "colobus-faults"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worlds(
    environment: dict[str, str], report: Report, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared[World]]:
    """One installation after the other, and the cloud as its administrator sees it."""

    @asynccontextmanager
    async def make() -> AsyncIterator[World]:
        async with installed(environment, tmp_path_factory.mktemp("faults")) as colobus:
            cloud = Cloud(environment, colobus.name)
            async with a_world(environment, colobus, cloud) as made:
                yield made

    async with shared(make, report.notes.append) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(request: pytest.FixtureRequest, worlds: Shared[World]) -> AsyncIterator[World]:
    """All of it, running; what a test has failed in, no other one finds."""
    yield await worlds.get()
    if not has_passed(request):
        await worlds.abandon()


@pytest.fixture
def kept(
    request: pytest.FixtureRequest, logs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of this test's logs; it stays when the test fails, or was asked for."""
    folder = logs / request.node.name.replace("[", "-").rstrip("]")
    shutil.rmtree(folder, ignore_errors=True)
    everything = tmp_path_factory.getbasetemp()
    sizes = {log: log.stat().st_size for log in _logs_below(everything)}
    folder.mkdir()
    yield folder
    for log in _logs_below(everything):
        with log.open("rb") as whole:
            whole.seek(sizes.get(log, 0))
            (folder / f"{log.parent.name}-{log.name}").write_bytes(whole.read())
    if has_passed(request) and "COLOBUS_FAULTS_DIR" not in os.environ:
        shutil.rmtree(folder)


def _logs_below(folder: Path) -> list[Path]:
    return [log for log in folder.glob("*/*.log") if not log.parent.is_symlink()]


_PASSED = pytest.StashKey[bool]()


def has_passed(request: pytest.FixtureRequest) -> bool:
    """Tell a fixture, at its end, whether its test has passed."""
    return bool(request.node.stash.get(_PASSED, False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note whether the test has passed."""
    outcome = yield
    if outcome.when == "call":  # type: ignore[attr-defined]
        item.stash[_PASSED] = outcome.passed  # type: ignore[attr-defined]
    return outcome
