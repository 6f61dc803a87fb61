"""The real parts that tests use: started by devcloud when they don't run yet, and left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcloud.api import Paths, Supervisor, open_devcloud
from devcloud.packages import DebianPackages
from devcloud.paths import CACHE_VARIABLE, STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]


def up(*components: str) -> dict[str, str]:
    """Start these components and what they require; return devcloud's environment for them."""
    subprocess.run([sys.executable, "-m", "devcloud", "up", *components], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "devcloud", "env", "--json"]
    shown = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    environment: dict[str, str] = json.loads(shown.stdout)
    return environment


def install(*packages: str) -> None:
    """Have these Debian packages; none of what they bring is started."""
    site, wanted = open_devcloud().site, DebianPackages(packages)
    with site.exclusively():
        if not wanted.installed(site):
            wanted.install(site)


@contextmanager
def own_cloud(name: str) -> Iterator[Supervisor]:
    """Provide an empty cloud beside the usual one, to be broken at will; it is removed in the end.

    Args:
        name: Tells it from those of other tests; what an aborted run left under it is removed.
    """
    usual = Paths.from_environment()
    own = Paths(state=usual.state.with_name(f"{usual.state.name}-{name}"), cache=usual.cache)
    open_devcloud(own, create=True).reset()
    cloud = open_devcloud(own, create=True)
    try:
        yield cloud
    finally:
        cloud.reset()


def begin_up(cloud: Supervisor, *components: str) -> subprocess.Popen[bytes]:
    """Begin to bring components of this cloud up, in a process that can be killed on the way."""
    paths = cloud.site.paths
    folders = {STATE_VARIABLE: str(paths.state), CACHE_VARIABLE: str(paths.cache)}
    command = [sys.executable, "-m", "devcloud", "up", *components]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **folders})
