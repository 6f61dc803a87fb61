"""All clouds of a worker: a pool of threads for each, a connection per tenant's project."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.openstack.connections import Connections, HttpBounds
from shared.openstack.metrics import ApiMetrics
from shared.runtime.deadline import Deadline
from shared.runtime.errors import PermanentError
from shared.runtime.tenants import Tenants


class Clouds:
    """The clouds of a ``clouds.yaml``.

    Args:
        clouds_file: Its entries name the service user, who is a member of every tenant's project.
        tenants: Who has which project where.
        bounds: Of every request.
        metrics: Where requests are counted.
        services: Whose clients are made beforehand, by their types.
        threads: How many calls to one cloud may be under way at once.
    """

    def __init__(
        self,
        clouds_file: Path,
        tenants: Tenants,
        *,
        bounds: HttpBounds,
        metrics: ApiMetrics,
        services: Sequence[str],
        threads: int,
    ) -> None:
        self._tenants = tenants
        self._connections = Connections(clouds_file, bounds, metrics, services)
        clouds = sorted({cloud for tenant in tenants for cloud in tenant.projects})
        self._pools = {
            cloud: ThreadPoolExecutor(threads, thread_name_prefix=f"cloud-{cloud}")
            for cloud in clouds
        }

    def check(self) -> None:
        """Raise `ConfigurationError` unless every cloud of the tenants file can be connected to."""
        for tenant in self._tenants:
            for cloud, project_id in tenant.projects.items():
                self._connections.of(cloud, project_id)

    def calls(self, cloud: str, tenant: str, deadline: Deadline) -> Calls:
        """Return how the tenant's project on ``cloud`` is called, up to ``deadline``.

        Raises `PermanentError` (no_cloud) where the tenant has none there.
        """
        found = self._tenants.by_name(tenant)
        project_id = found.projects.get(cloud) if found else None
        if project_id is None:
            detail = f"Tenant {tenant} has no project on cloud {cloud}."
            raise PermanentError(detail, reason=Reason.NO_CLOUD)
        connection = self._connections.of(cloud, project_id)
        return Calls(connection, self._pools[cloud], deadline, project_id)

    async def close(self) -> None:
        """Take no more calls; those under way end within their time-outs, in the background."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._connections.close()
