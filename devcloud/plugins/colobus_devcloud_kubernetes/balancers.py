"""Stands in for the controllers in each cluster that make load balancers in the cloud.

    python -m colobus_devcloud_kubernetes.balancers ROOT

They are octavia-ingress-controller (Ingresses of the class `openstack`, which is made here as the
default class) and the part of openstack-cloud-controller-manager that serves Services of type
LoadBalancer; for want of their programs this one process does it for all clusters under ROOT. What
it makes is real: see `balancer_cloud`. It acts with the credential that each cluster has of its
owner, and keeps nothing: killed at any time, it looks again.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from .api_server import ApiServer, Unanswered
from .balancer_cloud import BalancerCloud
from .cluster_balancers import KINDS, NODES, ClusterBalancers
from .cluster_network import ensure
from .folder import RUNNING, Folder
from .pki import ADMIN
from .tenant_cloud import Login, connect

PAUSE = 0.3
#: Seconds until something that failed is tried again.
AGAIN = 3.0
#: How many of one cluster's load balancers are worked on at a time.
AT_ONCE = 6


class Alarm:
    """Wakes who looks at a cluster: after a change, and once some time after a look that failed.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Event()
        self._again = float("inf")

    def ring(self) -> None:
        """Have it looked at now."""
        self._changed.set()

    def ring_again(self) -> None:
        """Have it looked at in a while, if nothing changes before."""
        self._again = self._clock() + AGAIN

    def rings(self, within: float = PAUSE) -> bool:
        """Wait so many seconds at most; tell whether it is to be looked at now."""
        if not self._changed.wait(within) and self._clock() < self._again:
            return False
        self._changed.clear()
        self._again = float("inf")
        return True


class Server:
    """Serves one cluster, until it is to be deleted."""

    def __init__(self, folder: Folder, login: Login, stopping: threading.Event) -> None:
        self._folder = folder
        self._login = login
        self._stopping = stopping
        self._alarm = Alarm()
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until then; the API server may come and go meanwhile."""
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        address = self._folder.status().host
        api = ApiServer(address, self._folder.path / "pki", ADMIN)
        self._alarm.ring()
        for path in (*KINDS.values(), NODES):
            threading.Thread(target=self._watch, args=(api, path), daemon=True).start()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            cluster = ClusterBalancers(self._folder.path.name, api, self._cloud(), pool)
            while self._served():
                if self._alarm.rings():
                    self._turn(cluster)
                    self._stopping.wait(PAUSE)

    def _turn(self, cluster: ClusterBalancers) -> None:
        # Whoever deletes the cluster waits for the end of this, and is waited for by the next.
        with self._folder.balancing():
            done = self._served() and cluster.work()
        if not done:
            self._alarm.ring_again()

    def _cloud(self) -> BalancerCloud:
        connection = connect(self._login)
        lock, name, outside = threading.Lock(), self._folder.path.name, self._login.external_network

        def subnet() -> str:
            with lock:
                return ensure(connection.network, name, outside)

        return BalancerCloud(connection, subnet, outside, self._served)

    def _watch(self, api: ApiServer, path: str) -> None:
        while self._served():
            try:
                api.watch(path, self._alarm.ring)
            except Unanswered:
                self._stopping.wait(AGAIN)
            self._alarm.ring()

    def _served(self) -> bool:
        ending = self._stopping.is_set() or self._ended.is_set()
        return not ending and self._folder.exists() and self._folder.has_balancers


class Balancers:
    """All clusters under one root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stopping = threading.Event()
        self._serving: dict[str, threading.Thread] = {}

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Take the signal to end."""
        del number, frame
        self._stopping.set()

    def run(self) -> None:
        """Look for clusters that run until told to end."""
        while not self._stopping.wait(PAUSE):
            for path in self._root.iterdir():
                thread = self._serving.get(path.name)
                if path.name[0] != "." and (thread is None or not thread.is_alive()):
                    self._serve(Folder(path))

    def _serve(self, folder: Folder) -> None:
        try:
            login = folder.login()
            if login is None or not folder.has_balancers or folder.status().state != RUNNING:
                return
        except FileNotFoundError:  # it was removed meanwhile
            return
        server = Server(folder, Login(**login), self._stopping)
        thread = threading.Thread(target=_guarded, args=(server,), name=folder.path.name)
        thread.daemon = True  # a call to the cloud may take minutes, and needs no end
        self._serving[folder.path.name] = thread
        thread.start()


def _guarded(server: Server) -> None:
    try:
        server.run()
    except Exception:  # noqa: BLE001 - one cluster's trouble is not another's; it is tried again
        traceback.print_exc()
        time.sleep(AGAIN)


def main(root: str) -> None:
    """Run until SIGTERM."""
    balancers = Balancers(Path(root))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, balancers.stop)
    balancers.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
