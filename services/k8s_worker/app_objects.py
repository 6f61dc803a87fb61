"""What is read of an app's workloads, Ingresses, Services and pods, and nothing more of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.k8s_worker.kubernetes_objects import Anything, Object, ServiceSpec

_Count = Annotated[int, Meta(ge=0)]
_Address = Annotated[str, Meta(max_length=253)]


class Condition(msgspec.Struct):
    """What is said of a thing: ``status`` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class Dated(Object, kw_only=True, rename="camel"):
    """``generation`` grows with each change of what is asked for."""

    generation: int = 0


class Strategy(msgspec.Struct, rename="camel"):
    """Of a StatefulSet: pods below ``partition`` stay as they are; ``OnDelete``: all do."""

    type: str | None = None
    rolling_update: dict[str, Any] | None = None

    @property
    def partition(self) -> int:
        """How many pods are not to be replaced."""
        found = (self.rolling_update or {}).get("partition")
        return found if isinstance(found, int) else 0


class WorkloadSpec(msgspec.Struct, rename="camel"):
    """What is asked of a workload; a DaemonSet has no number."""

    replicas: _Count = 1
    update_strategy: Strategy | None = None


class WorkloadStatus(msgspec.Struct, rename="camel"):
    """What became of it, in the words of Deployments, StatefulSets and DaemonSets together."""

    observed_generation: int = 0
    replicas: _Count = 0
    updated_replicas: _Count = 0
    available_replicas: _Count = 0
    ready_replicas: _Count = 0
    desired_number_scheduled: _Count = 0
    updated_number_scheduled: _Count = 0
    number_available: _Count = 0
    conditions: list[Condition] | None = None


class Workload(msgspec.Struct, kw_only=True):
    """A Deployment, StatefulSet or DaemonSet."""

    metadata: Dated
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)
    status: WorkloadStatus = msgspec.field(default_factory=WorkloadStatus)


class Balancer(msgspec.Struct):
    """Where a load balancer is reached."""

    ip: _Address | None = None
    hostname: _Address | None = None


class BalancerStatus(msgspec.Struct):
    """The load balancers of an Ingress or a Service."""

    ingress: list[Balancer] | None = None


class BalancedStatus(msgspec.Struct, rename="camel"):
    """What its controller says of it."""

    load_balancer: BalancerStatus | None = None


class Balanced(Anything, kw_only=True):
    """What a load balancer leads to: an Ingress, or a Service whose ``spec`` says so."""

    spec: ServiceSpec | None = None
    status: BalancedStatus | None = None


class Waiting(msgspec.Struct):
    """Why a container does not run."""

    reason: str | None = None
    message: str | None = None


class ContainerState(msgspec.Struct):
    """How a container is."""

    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct):
    """One container of a pod."""

    state: ContainerState | None = None


class PodStatus(msgspec.Struct, rename="camel"):
    """What is said of a pod and of its containers."""

    conditions: list[Condition] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Owner(msgspec.Struct):
    """Whose an object is."""

    kind: str
    name: str
    controller: bool | None = None


class Owned(Object, kw_only=True, rename="camel"):
    """An object that another has made: at most one of its owners controls it."""

    owner_references: list[Owner] | None = None


class Pod(msgspec.Struct, kw_only=True):
    """A Pod."""

    metadata: Owned
    status: PodStatus | None = None
