"""The CI systems of devcloud's own tenants: the users that `make demo` tells people to use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcloud.api import open_devcloud
from devcloud.tenants import TENANTS
from tests.support import devcloud
from tests.support.ci import CiSystem, refused

PREFIX = "DEVCLOUD_AMQP_URL_"


@pytest.fixture(scope="module")
def own(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment with devcloud's own scheduler up, which is left as it was found."""
    supervisor = open_devcloud()
    ran = supervisor.site.processes.pid("scheduler") is not None
    yield {**environment, **devcloud.up("scheduler")}
    if not ran:
        supervisor.stop("scheduler")


@pytest.mark.parametrize("tenant", TENANTS)
async def test_a_tenants_own_user_asks_on_the_bus_and_is_answered(
    own: dict[str, str], tenant: str
) -> None:
    """It may follow its statuses and ask; what it asks here is refused, and names every fault."""
    assert {key for key in own if key.startswith(PREFIX)} == {PREFIX + t.upper() for t in TENANTS}
    async with CiSystem.of(tenant, own[PREFIX + tenant.upper()]) as ci:
        problem = refused(await ci.ask({"verb": "create", "kind": "vm", "spec": {}}))
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers >= {"/data/spec/image", "/data/spec/flavor"}, problem
