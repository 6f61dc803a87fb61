"""A cloud that was never brought up: enough to render what its parts read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from devcloud.account import Account
from devcloud.credentials import Credentials
from devcloud.paths import Paths
from devcloud.ports import Ports
from devcloud.processes import ProcessTable
from devcloud.site import Site
from devcloud.tools import Tools


def site_in(folder: Path, account: Account | None = None) -> Site:
    """Return a cloud in this folder, whose daemons would run as that user (default: ours)."""
    paths = Paths(state=folder / "state", cache=folder / "cache")
    for made in (paths.etc, paths.run, paths.log, paths.data, paths.home):
        made.mkdir(parents=True)
    who = account or Account("me", os.geteuid(), os.getegid())
    return Site(
        paths=paths,
        ports=Ports(21_000),
        credentials=Credentials(paths.state / "credentials.json"),
        account=who,
        processes=ProcessTable(paths, who),
        tools=Tools(who, paths.home, paths.log, threading.Event()),
    )
