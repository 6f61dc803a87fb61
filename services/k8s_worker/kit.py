"""What all provisioning functions of clusters need: whose a cluster is, and of what it is made."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.k8s_worker.backend import Cluster
from services.k8s_worker.templates_file import Recipe
from shared.runtime.locks import KeyedLocks
from shared.worker.marks import Marks

WORKER = "k8s_worker"
#: What the census calls what we make.
CLUSTER = "cluster"


@dataclass(frozen=True)
class Kit:
    """What all provisioning functions need besides the project and the command."""

    marks: Marks
    recipes: tuple[Recipe, ...]
    #: Of templates: requests that come at once make one.
    making: KeyedLocks = field(default_factory=KeyedLocks)

    def labels(self, resource_id: str) -> dict[str, str]:
        """Return the labels that say whose a cluster is."""
        return {
            "colobus_installation": self.marks.installation_id,
            "colobus_resource": resource_id,
            "colobus_worker": self.marks.worker,
        }

    def owner(self, cluster: Cluster) -> str | None:
        """Return the resource that a cluster of this installation belongs to; None: it isn't."""
        named = cluster.labels.get("colobus_resource")
        return named if named is not None and self.owns(cluster, named) else None

    def owns(self, cluster: Cluster, resource_id: str) -> bool:
        """Tell whether a cluster is that resource's, beyond any doubt."""
        marked = self.marks.are_only(resource_id, (), metadata=cluster.labels)
        return marked and cluster.name == resource_id
