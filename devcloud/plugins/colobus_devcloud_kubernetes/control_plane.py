"""One control plane and its nodes: started in order, kept running, changed, stopped."""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

from .addons import ADDONS
from .api_server import PORT, ApiServer
from .children import Children
from .pki import ADMIN, SERVICE_RANGE, Pki

ETCD, API_SERVER = "etcd", "kube-apiserver"
CONTROLLERS, SCHEDULER = "kube-controller-manager", "kube-scheduler"
NODE = "kubemark"
PROGRAMS = (ETCD, API_SERVER, CONTROLLERS, SCHEDULER, NODE)
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
CONTROLLERS_PORT, SCHEDULER_PORT = 10257, 10259
#: Seconds until a start has failed, on a busy machine too.
START_WITHIN = 180.0
PAUSE = 0.2


class ControlPlaneFailed(RuntimeError):
    """It did not come up; the message says which process and what that said."""


class Interrupted(RuntimeError):
    """Something else is wanted now."""


class ControlPlane:
    """The processes of one cluster, on a loopback address of its own, at Kubernetes' own ports.

    Args:
        folder: Holds `pki/ca.crt` and `pki/ca.key`, and takes all that the cluster stores.
        address: The loopback address.
        programs: The programs' paths by name (`PROGRAMS`).
        interrupted: Asked while waiting: whether to give up.
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        programs: Mapping[str, str],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folder = folder
        self._address = address
        self._programs = programs
        self._interrupted = interrupted
        self._pki = Pki(folder / "pki")
        self._children = Children(folder)
        self.api = ApiServer(address, folder / "pki", ADMIN)

    def start(self) -> None:
        """Start what doesn't run of the control plane, each once what it needs answers.

        Raises:
            ControlPlaneFailed: One ended, or did not answer in time.
            Interrupted: Something else is wanted now.
            Unanswered: Its API server does not take yet what every cluster has.
        """
        self._pki.issue_all(self._address)
        self._children.start(ETCD, self._etcd())
        self._wait(ETCD, self._etcd_healthy)
        self._children.start(API_SERVER, self._api_server())
        self._wait(API_SERVER, self.api.ready)
        self._children.start(CONTROLLERS, self._controller_manager())
        self._children.start(SCHEDULER, self._scheduler())
        for path, what in ADDONS.items():
            self.api.make(path, what)

    def set_nodes(self, names: Sequence[str]) -> dict[str, str]:
        """Let exactly these nodes be there; return those that have joined, with their addresses.

        Others are stopped first and then forgotten, so that they don't join again.
        """
        for name in self._nodes():
            if name not in names:
                self._children.stop(_process(name))
        for name in names:
            self._children.start(_process(name), self._node(name))
        joined = self.api.nodes()
        for name in set(joined) - set(names):
            self.api.forget_node(name)
        return {name: joined[name] for name in names if name in joined}

    def ended(self) -> dict[str, str]:
        """Return the processes that ended by themselves, with their last words."""
        return {name: self._children.last_words(name) for name in self._children.ended()}

    def pids(self) -> dict[str, int]:
        """Return the processes by name."""
        return self._children.pids()

    def stop(self) -> None:
        """Stop all; what etcd holds is on the disk."""
        for name in [*self._children.pids(), *self._children.ended()]:
            if name != ETCD:
                self._children.stop(name)
        self._children.stop(ETCD, signal.SIGTERM)

    def _nodes(self) -> list[str]:
        known = [*self._children.pids(), *self._children.ended()]
        return [name.removeprefix(_process("")) for name in known if name.startswith(_process(""))]

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_WITHIN
        while not condition():
            if self._interrupted():
                raise Interrupted
            if not self._children.alive(name):
                raise ControlPlaneFailed(f"{name} ended: {self._children.last_words(name)}")
            if time.monotonic() > deadline:
                raise ControlPlaneFailed(f"{name} did not answer within {START_WITHIN:.0f} s")
            time.sleep(PAUSE)

    def _etcd_healthy(self) -> bool:
        try:
            with urlopen(f"{self._etcd_url()}/health", timeout=2) as answer:  # noqa: S310 - loopback
                return b"true" in answer.read()
        except (OSError, http.client.HTTPException):
            return False

    def _etcd_url(self, port: int = ETCD_PORT) -> str:
        return f"http://{self._address}:{port}"

    def _etcd(self) -> list[str]:
        peer = self._etcd_url(ETCD_PEER_PORT)
        return [
            self._programs[ETCD],
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url()}",
            f"--advertise-client-urls={self._etcd_url()}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            "--logger=zap",
        ]

    def _api_server(self) -> list[str]:
        pki = self._pki.folder
        return [
            self._programs[API_SERVER],
            f"--etcd-servers={self._etcd_url()}",
            f"--bind-address={self._address}",
            f"--secure-port={PORT}",
            # A loopback address is refused here; nobody uses it, for want of a network of pods.
            "--advertise-address=10.255.255.1",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            "--allow-privileged=true",
            "--profiling=false",
            "--event-ttl=30m",
            f"--cert-dir={self._folder / 'certificates'}",
        ]

    def _controller_manager(self) -> list[str]:
        pki = self._pki.folder
        return [
            self._programs[CONTROLLERS],
            *self._component("controller-manager", CONTROLLERS_PORT),
            "--concurrent-namespace-syncs=20",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            "--use-service-account-credentials=true",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--controllers=*,-ttl,-cloud-node-lifecycle,-nodeipam",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=20s",
        ]

    def _scheduler(self) -> list[str]:
        return [self._programs[SCHEDULER], *self._component("scheduler", SCHEDULER_PORT)]

    def _component(self, name: str, port: int) -> list[str]:
        return [
            f"--kubeconfig={self._pki.kubeconfig(name, self.api.url)}",
            f"--bind-address={self._address}",
            f"--secure-port={port}",
            "--port=0",  # the one without TLS
            f"--cert-dir={self._folder / 'certificates'}",
            "--leader-elect=false",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    def _node(self, name: str) -> list[str]:
        process = _process(name)
        self._pki.issue(process, f"system:node:{name}", "system:nodes")
        return [
            self._programs[NODE],
            "--morph=kubelet",
            f"--name={name}",
            f"--kubeconfig={self._pki.kubeconfig(process, self.api.url)}",
            # Any free one: all kubelets of this machine share an address, and nobody asks them.
            "--kubelet-port=0",
            "--kubelet-read-only-port=0",
        ]


def _process(node: str) -> str:
    return f"node-{node}"
