"""The reference of `vm_time`: what a sane script with openstacksdk does, and nothing else.

``python -m benchmarks.bare_script COUNT`` with BENCH_CLOUDS (a clouds.yaml), BENCH_CLOUD,
BENCH_PROJECT_ID and BENCH_NETWORK_ID: logged in beforehand, it makes a port and a server for each
VM in a pool of threads, lists the servers every 0.5 s until all are ACTIVE, and takes all away
again. It prints ``{"seconds": …, "calls": …}``: from its first call to the moment at which it saw
all of them ACTIVE, and how many requests the cloud answered until all were gone.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openstack

_POLL = 0.5
_THREADS = 20


class Script:
    """One run, under a name of its own."""

    def __init__(self, connection: Any, count: int) -> None:
        self._cloud, self._count = connection, count
        self._name = f"bench-{secrets.token_hex(4)}"
        self._image = connection.image.find_image("debian-12", ignore_missing=False).id
        self._flavor = connection.compute.find_flavor("small", ignore_missing=False).id

    def make(self, number: int) -> None:
        """Make one port and the server on it."""
        name = f"{self._name}-{number}"
        port = self._cloud.network.create_port(network_id=os.environ["BENCH_NETWORK_ID"], name=name)
        self._cloud.compute.create_server(
            name=name, image_id=self._image, flavor_id=self._flavor, networks=[{"port": port.id}]
        )

    def servers(self) -> list[Any]:
        """Ours, by one call."""
        return list(self._cloud.compute.servers(name=self._name))

    def all_active(self) -> bool:
        """Whether they are; raises when one is broken."""
        states = [server.status for server in self.servers()]
        if "ERROR" in states:
            raise RuntimeError("a server is in ERROR")
        return states == ["ACTIVE"] * self._count

    def clear(self, pool: ThreadPoolExecutor) -> None:
        """Take away what was made."""
        list(pool.map(self._cloud.compute.delete_server, self.servers()))
        _until(lambda: not self.servers())
        ports = [p for p in self._cloud.network.ports() if p.name.startswith(self._name)]
        list(pool.map(self._cloud.network.delete_port, ports))


def _until(done: Callable[[], bool]) -> None:
    for _ in _polls():
        if done():
            return


def _polls() -> Iterator[None]:
    while True:
        time.sleep(_POLL)
        yield


def main() -> None:
    """Make them, wait, print, take them away."""
    config = openstack.config.OpenStackConfig(config_files=[os.environ["BENCH_CLOUDS"]])
    project = {"project_id": os.environ["BENCH_PROJECT_ID"]}
    region = config.get_one(cloud=os.environ["BENCH_CLOUD"], auth=project)
    connection = openstack.connection.Connection(config=region)
    count = int(sys.argv[1])
    script = Script(connection, count)
    script.servers()
    list(connection.network.ports(name="none"))  # both endpoints are known now
    answers: list[str] = []
    connection.session.session.hooks["response"].append(
        lambda response, **_: answers.append(response.url)
    )
    with ThreadPoolExecutor(min(count, _THREADS)) as pool:
        try:
            began = time.perf_counter()
            list(pool.map(script.make, range(count)))
            _until(script.all_active)
            seconds = time.perf_counter() - began
        finally:
            script.clear(pool)
    sys.stdout.write(json.dumps({"seconds": seconds, "calls": len(answers)}))


if __name__ == "__main__":
    main()
