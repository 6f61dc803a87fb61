"""The whole of Colobus as processes, on the real cloud, used through its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from colobus.client import Client
from tests.support import devcloud
from tests.support.cloud import Cloud
from tests.support.installation import Installation, installation
from tests.support.webhooks import Receiver, receiving

#: What the tenants of the tests may hold; openlab's is small, for the tests of quota.
QUOTAS = {"bigtop": {"vms": 12, "floating_ips": 8}, "openlab": {"vms": 2, "floating_ips": 1}}


#: Behind the bounds of a test's own waits, in seconds: longer than those of most come to. A test
#: whose waits may come to more says so itself.
LONGEST = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cloud, and takes its time."""
    for item in items:
        if "end_to_end" in item.nodeid:
            item.add_marker(pytest.mark.openstack)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of the running cloud."""
    return devcloud.up("catalog", "nova", "rabbitmq", "postgresql")


@pytest.fixture(scope="session")
def both(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with the second cloud up."""
    return {**environment, **devcloud.up("second-cloud")}


@pytest.fixture(scope="session")
def colobus(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, running."""
    # Behind the cloud's notifications it is looked often enough for what a build of 30 s shows.
    extra = {"scheduler": {"COLOBUS_INSPECT_PUSHED_SECONDS": "10"}}
    with installation(environment, tmp_path_factory.mktemp("colobus"), QUOTAS, extra) as made:
        made.start()
        yield made


@pytest.fixture(scope="session")
def cloud(environment: dict[str, str], colobus: Installation) -> Iterator[Cloud]:
    """The cloud as its administrator sees it."""
    seen = Cloud(environment, colobus.name)
    yield seen
    colobus.stop()
    seen.clear()


@pytest.fixture
async def bigtop(colobus: Installation) -> AsyncIterator[Client]:
    """A client of the tenant bigtop."""
    async with Client(colobus.url, token=colobus.tokens["bigtop"]) as client:
        yield client


@pytest.fixture
async def openlab(colobus: Installation) -> AsyncIterator[Client]:
    """A client of the tenant openlab."""
    async with Client(colobus.url, token=colobus.tokens["openlab"]) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A subscriber's endpoint."""
    async with receiving() as made:
        yield made
