"""`make demo KINDS=all`, as a newcomer runs it: one of each kind comes up, and all of it can go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from colobus import Client, Phase
from devcloud.api import cloud_environment, open_devcloud
from devcloud.components import COMPONENTS
from devcloud.components.colobus_services import Process
from devcloud.demo.telling import LABELS
from tests.support import devcloud

#: As long as all of it may take where Kubernetes isn't built yet, and others build theirs.
pytestmark = pytest.mark.timeout(2700)
#: What goes on after it; what needs another is first.
ORDER = ("app", "cluster", "stack", "machine", "attachment", "volume", "vm")
ACTIVE = dict.fromkeys(ORDER, Phase.ACTIVE)
if os.geteuid() != 0:  # no network namespace, no machine
    del ACTIVE["machine"]


@pytest.fixture
def shown() -> Iterator[str]:
    """What it prints; the services that it has started are stopped in the end."""
    command = [sys.executable, "-m", "devcloud.demo", "all"]
    try:
        yield subprocess.run(
            command, cwd=devcloud.ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    finally:
        cloud = open_devcloud()
        for component in COMPONENTS:
            if issubclass(component, Process):
                cloud.stop(component.name)


async def test_it_shows_one_of_each_kind_and_all_of_it_can_go(shown: str) -> None:
    """What it says of itself is what the API says; each goes when it is deleted."""
    environment = cloud_environment(open_devcloud().site)
    async with Client(environment["COLOBUS_URL"], token=environment["COLOBUS_TOKEN"]) as client:
        made = {one.kind: one async for one in client.list(labels=LABELS)}
        assert {kind: one.status.phase for kind, one in made.items()} == ACTIVE
        assert [one.id for one in made.values() if one.id not in shown] == []
        assert re.search(r"Done in \d+ s\. Everything keeps running\.", shown)
        for kind in ACTIVE:
            await client.delete(made[kind].id)
            await client.wait(made[kind].id, Phase.DELETED, timeout=300)
        assert [one.id async for one in client.list(labels=LABELS)] == []
