"""All clouds of this worker: a pool of threads for each, a connection per tenant's project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from services.vm_worker.metrics import API
from services.vm_worker.openstack_calls.compute import ComputeNames, OpenStackCompute
from services.vm_worker.openstack_calls.network import NetworkNames, OpenStackNetwork
from services.vm_worker.openstack_calls.project import OpenStackProject
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.openstack.connections import Connections, HttpBounds
from shared.runtime.deadline import Deadline
from shared.runtime.errors import PermanentError
from shared.runtime.tenants import Tenants

_SERVICES = ("compute", "network", "image")


@dataclass(frozen=True)
class _Names:
    compute: ComputeNames = field(default_factory=ComputeNames)
    network: NetworkNames = field(default_factory=NetworkNames)


class OpenStackBackend:
    """`services.vm_worker.backend.Backend`: the clouds of a ``clouds.yaml``.

    Args:
        clouds_file: Its entries name the service user, who is a member of every tenant's project.
        threads: How many calls to one cloud may be under way at once.
        dns_servers: What the subnets of default networks hand out.
    """

    def __init__(
        self,
        clouds_file: Path,
        tenants: Tenants,
        *,
        bounds: HttpBounds | None = None,
        threads: int = 20,
        dns_servers: tuple[str, ...] = (),
    ) -> None:
        self._tenants = tenants
        self._dns_servers = dns_servers
        bounds = bounds or HttpBounds(connections=threads)
        self._connections = Connections(clouds_file, bounds, API, _SERVICES)
        self._names: dict[tuple[str, str], _Names] = {}
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

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> OpenStackProject:
        """Return the tenant's project on ``cloud``; nothing starts there after ``deadline``."""
        found = self._tenants.by_name(tenant)
        project_id = found.projects.get(cloud) if found else None
        if project_id is None:
            detail = f"Tenant {tenant} has no project on cloud {cloud}."
            raise PermanentError(detail, reason=Reason.NO_CLOUD)
        connection = self._connections.of(cloud, project_id)
        calls = Calls(connection, self._pools[cloud], deadline, project_id)
        names = self._names.setdefault((cloud, project_id), _Names())
        return OpenStackProject(
            cloud,
            tenant,
            OpenStackCompute(calls, names.compute),
            OpenStackNetwork(calls, self._dns_servers, names.network),
            calls,
        )

    async def close(self) -> None:
        """Take no more calls; those under way end within their time-outs, in the background."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._connections.close()
