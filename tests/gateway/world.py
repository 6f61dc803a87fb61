"""A store of the tests' own on the real Ceph and the real ceph-iscsi, with the worker's rooms.

What the gateway really has is asked of it by hand, by `World.asked`: never through the worker.
"""

from __future__ import annotations

import importlib
import json
import secrets
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcloud.api import Supervisor
from tests.integration.iscsi_worker.world import StoreWorld, open_pool
from tests.support.conditions import eventually_sync

GATEWAY = "ceph-iscsi"


@dataclass
class World(StoreWorld):
    """``cloud`` is devcloud, whose gateway is the tests' to stop; ``url`` another way to its API.

    An emulated processor answers slowly, on a busy machine very slowly: the bounds are wide.
    """

    ceph_seconds: float = 5
    gateway_seconds: float = 180
    life: float = 800
    cloud: Supervisor = field(kw_only=True)
    environment: dict[str, str] = field(kw_only=True)
    urls: list[str] = field(default_factory=list, kw_only=True)

    @property
    def portal(self) -> str:
        """Where initiators log in."""
        return self.environment["DEVCLOUD_CEPH_ISCSI_PORTAL"]

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.environment["DEVCLOUD_CEPH_ISCSI_URL"]

    @property
    def host(self) -> str:
        """What the gateway's host is called."""
        return self.environment["DEVCLOUD_CEPH_ISCSI_GATEWAY"]

    @property
    def gateway(self) -> dict[str, object]:
        """What a stores file says of it."""
        environment = self.environment
        return {
            "type": "ceph-iscsi",
            "urls": self.urls or [self.url],
            "username": environment["DEVCLOUD_CEPH_ISCSI_USER"],
            "password_file": environment["DEVCLOUD_CEPH_ISCSI_PASSWORD_FILE"],
            "portals": [{"gateway": self.host, "address": self.portal}],
        }

    def asked(self, method: str, path: str, **form: str) -> tuple[int, Any]:
        """Ask the API by hand: status, and the answer."""
        environment = self.environment
        password = Path(environment["DEVCLOUD_CEPH_ISCSI_PASSWORD_FILE"]).read_text().strip()
        login = f"{environment['DEVCLOUD_CEPH_ISCSI_USER']}:{password}"
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            data=urllib.parse.urlencode(form).encode() if form else None,
            headers={"Authorization": f"Basic {b64encode(login.encode()).decode()}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def config(self) -> dict[str, Any]:
        """All that ceph-iscsi keeps."""
        status, config = self.asked("GET", "config")
        assert status == 200, config
        return dict(config)

    def targets(self) -> list[str]:
        """The installation's targets."""
        prefix = f"iqn.2026-11.org.colobus:{self.installation}."
        return [iqn for iqn in self.config()["targets"] if iqn.startswith(prefix)]

    def disks(self) -> list[str]:
        """The installation's images that are disks of the gateway."""
        prefix = f"{self.ceph.pool}/colobus.{self.installation}."
        return [name for name in self.config()["disks"] if name.startswith(prefix)]

    def forget(self) -> None:
        """Take away what failed tests have left on the gateway."""
        for iqn in self.targets():
            for host in self.config()["targets"][iqn]["portals"]:
                self.asked("DELETE", f"gateway/{iqn}/{host}")
            self.asked("DELETE", f"target/{iqn}")
        for disk in self.disks():
            self.asked("DELETE", f"disk/{disk}", preserve_image="true")
        assert (self.targets(), self.disks()) == ([], [])

    def clear_volumes(self) -> None:
        """Take away all volumes. What the gateway has let go is watched for a moment still."""
        clear = super().clear_volumes

        def all_gone() -> bool:
            clear()
            return self.images() == []

        eventually_sync(all_gone, within=90, what="nobody holds the volumes any more")

    def drop(self, name: str) -> None:
        """Take an image away with its snapshots."""
        with suppress(importlib.import_module("rbd").ImageNotFound):
            super().drop(name)


@contextmanager
def make_world(
    cloud: Supervisor, environment: dict[str, str], folder: Path, installation: str = ""
) -> Iterator[World]:
    """A store of its own; it is taken away with all that is in it."""
    with open_pool(environment) as (ceph, pool):
        named = installation or f"t{secrets.token_hex(4)}"
        world = World(named, ceph, pool, folder, cloud=cloud, environment=environment)
        try:
            yield world
        finally:
            world.forget()
            world.clear()
