"""The k8s_worker's commands, events and queries: Kubernetes clusters that Magnum makes."""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment


class ProvisionCluster(Message, frozen=True):
    """Start making a cluster of ``node_count`` workers, of Kubernetes ``version`` ("1.20").

    ``template``: a Magnum cluster template's name or id; without one it is found or made.
    Before ``look_until`` an earlier request that was not answered may still have its effect, so
    nothing is made; it is looked for.
    """

    cloud: str
    node_count: int
    version: str
    flavor: str | None = None
    template: str | None = None
    arch: str | None = None
    look_until: Moment | None = None


class DeprovisionCluster(Message, frozen=True):
    """Delete all that Magnum has of the resource, found by id or by its name.

    What a living cluster has outside of itself (load balancers, volumes) goes first (``drain``;
    what never lived has none of it). That was on its way at ``draining_since`` already, or nobody
    has answered since ``silent_since``: each for so long only, then the cluster goes all the same.
    ``apps`` are those that the ledger has on it: they are waited for, unless ``force``; what else
    is found of ours on it goes with what goes first. None: it is not known, and the cluster is
    asked.
    """

    cloud: str
    cluster_id: str | None = None
    drain: bool = False
    draining_since: Moment | None = None
    silent_since: Moment | None = None
    force: bool = False
    apps: tuple[str, ...] | None = None


class ResizeCluster(Message, frozen=True):
    """Let the cluster have ``node_count`` workers."""

    cloud: str
    cluster_id: str
    operation_id: str
    node_count: int


class ClusterInspection(Message, frozen=True):
    """One cluster to look at; None: Magnum was asked for it and has not answered."""

    resource_id: str
    tenant: str
    cluster_id: str | None = None


class InspectClusters(Message, frozen=True):
    """Look at all these clusters of one cloud: one list per tenant, and each one's API server."""

    cloud: str
    clusters: tuple[ClusterInspection, ...]


class ClusterCreateStarted(Message, frozen=True):
    """Magnum has accepted the cluster; the open step now waits for `ClusterObserved`."""

    cluster_id: str
    template_id: str


class ClusterDeletionStarted(Message, frozen=True):
    """Magnum has accepted the deletion; the open undo waits for `ClusterObserved` with ``gone``.

    ``left`` names what the cluster had outside of itself and would not go, a hundred at most.
    """

    cluster_id: str
    left: tuple[str, ...] = ()


class ClusterDeprovisioned(Message, frozen=True):
    """No cluster of this resource is left."""


class ClusterResizeStarted(Message, frozen=True):
    """Magnum has accepted the change; the operation waits for `ClusterObserved`."""

    node_count: int


class KubernetesNode(Message, frozen=True):
    """A worker node as its API server shows it; ``reason`` is why it is not ``ready``."""

    name: str
    ready: bool
    address: str | None = None
    reason: str | None = None


class ClusterCheck(Message, frozen=True):
    """One of the checks that the cluster's template promises; ``reason``: why it has not passed."""

    name: str
    passed: bool
    reason: str | None = None


class ClusterObserved(Message, frozen=True):
    """What Magnum and the cluster's API server showed at ``observed_at``.

    ``gone``: Magnum knows no such cluster any more. ``cluster_status`` and ``node_count`` are
    Magnum's. The API server is asked once Magnum says that the cluster is complete, with a client
    certificate that Magnum has signed: ``unanswered`` says in words why it did not answer, else
    ``version`` is what it says of itself ("v1.20.2") and ``nodes`` are its workers, 300 at most;
    of all of them there are ``nodes_total``, ``nodes_ready`` of them Ready.
    """

    observed_at: Moment
    cluster_id: str | None = None
    gone: bool = False
    cluster_status: str | None = None
    status_reason: str | None = None
    node_count: int | None = None
    api_address: str | None = None
    unanswered: str | None = None
    version: str | None = None
    nodes: tuple[KubernetesNode, ...] = ()
    nodes_total: int = 0
    nodes_ready: int = 0
    checks: tuple[ClusterCheck, ...] = ()


class ClusterInspectionFailed(Message, frozen=True):
    """Magnum could not be asked about these clusters."""

    cloud: str
    resource_ids: tuple[str, ...]
    problem: Problem


class GetKubeconfig(Message, frozen=True):
    """→ k8s_worker: a kubeconfig made for the asking, sealed to the asker's one-time key.

    ``public_key`` is base64. The asker has checked whose cluster it is.
    """

    cloud: str
    cluster: str
    cluster_id: str
    public_key: str


class KubeconfigIssued(Message, frozen=True):
    """``sealed_kubeconfig`` is the file in a sealed box (base64) that the asker alone opens.

    ``expires_at`` is when the client certificate in it ends.
    """

    api_address: str
    expires_at: Moment
    sealed_kubeconfig: str
