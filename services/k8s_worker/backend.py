"""What we ask of a cloud's Magnum, and of a cluster's own API server, as Protocols.

`magnum_calls` and `kubernetes_api` are what answers. All calls to Magnum are about one tenant's
project. Errors come out as `TemporaryError` (the outcome of a create is then unknown) or as one of
`shared.worker.errors`. Nothing starts after the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from services.k8s_worker.app_backend import AppServer
from shared.runtime.deadline import Deadline

#: What Magnum says of a cluster that it is making, and of one that it is removing.
CREATING, DELETING = "CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS"


@dataclass(frozen=True)
class Cluster:
    """A cluster as Magnum shows it; ``status`` in its own words (``CREATE_COMPLETE``).

    ``node_count`` is that of its workers; ``api_address`` a URL, empty until there is one.
    ``begun``: Magnum's driver has been asked for it, and Magnum knows what it made.
    """

    id: str
    name: str
    status: str
    reason: str = ""
    template_id: str = ""
    node_count: int = 0
    api_address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: str = ""
    begun: bool = True


@dataclass(frozen=True)
class Template:
    """A cluster template as Magnum shows it."""

    id: str
    name: str
    labels: Mapping[str, str]
    coe: str = "kubernetes"
    flavor: str = ""
    created_at: str = ""


@dataclass(frozen=True, kw_only=True)
class NewCluster:
    """A cluster to be made; ``flavor`` is that of its workers, where it isn't the template's."""

    name: str
    template_id: str
    node_count: int
    master_count: int
    labels: Mapping[str, str]
    flavor: str | None = None


@dataclass(frozen=True)
class Access:
    """What opens a cluster, in PEM, until ``expires_at``. Has a private key: never log it."""

    address: str
    authority: str
    certificate: str
    key: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Node:
    """A worker as its API server shows it; ``reason`` is why it is not ready."""

    name: str
    ready: bool
    address: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that a cluster must have: ``kind`` is Service, Deployment or DaemonSet."""

    name: str
    kind: str
    namespace: str
    object: str

    @property
    def target(self) -> str:
        """Say what is looked at."""
        return f"{self.kind} {self.namespace}/{self.object}"


@dataclass(frozen=True)
class Checked:
    """What came of a check; ``words`` say why it has not passed, empty when it has."""

    name: str
    words: str = ""


@dataclass(frozen=True)
class Look:
    """What an API server says: its version ("v1.20.2"), its workers, by name, and the checks."""

    version: str
    nodes: tuple[Node, ...]
    checks: tuple[Checked, ...] = ()


class Unanswered(Exception):
    """The API server did not answer as it should; the text says how, the same each time.

    ``refused``: it does not take our certificate, or shows one that we don't trust.
    """

    def __init__(self, words: str, *, refused: bool = False) -> None:
        super().__init__(words)
        self.refused = refused


class Project(Protocol):
    """One tenant's project on one cloud, for as long as one command may work."""

    @property
    def cloud(self) -> str:
        """The cloud's name in clouds.yaml."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""

    async def clusters(self) -> list[Cluster]:
        """Return all clusters of the project."""

    async def cluster(self, cluster_id: str) -> Cluster | None:
        """Return the cluster of this id; None when Magnum has none."""

    async def create_cluster(self, new: NewCluster) -> str:
        """Start making a cluster; returns its id. Magnum shows it a moment later."""

    async def resize_cluster(self, cluster_id: str, node_count: int) -> None:
        """Start changing the number of workers."""

    async def delete_cluster(self, cluster_id: str) -> bool:
        """Start deleting; False when there is no such cluster any more."""

    async def templates(self) -> list[Template]:
        """Return all cluster templates that the project may use."""

    async def create_template(self, body: Mapping[str, Any]) -> Template:
        """Make a cluster template; ``body`` is in Magnum's words."""

    async def authority(self, cluster_id: str) -> str:
        """Return the certificate of the cluster's authority, in PEM."""

    async def signed(self, cluster_id: str, request: str) -> str:
        """Have the cluster's authority sign a certificate request; all in PEM."""


class Backend(Protocol):
    """All clouds of this worker."""

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> Project:
        """Return the tenant's project; `PermanentError` (no_cloud) where it has none there."""


class ApiServer(AppServer, Protocol):
    """A connection to one cluster's API server."""

    async def look(self, checks: Sequence[Check] = ()) -> Look:
        """Return what it says of itself, and of these; raises `Unanswered`."""

    async def drain(self, seconds: float) -> list[str]:
        """Order the end of what outlives a cluster: load balancers of Services, and volumes.

        It takes so many seconds at most. Returns the names of those that are still there; raises
        `Unanswered`.
        """

    async def close(self) -> None:
        """Close the connection."""
