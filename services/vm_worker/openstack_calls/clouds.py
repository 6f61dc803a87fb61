"""All clouds of this worker, as its backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.vm_worker.metrics import API
from services.vm_worker.openstack_calls.compute import ComputeNames, OpenStackCompute
from services.vm_worker.openstack_calls.network import NetworkNames, OpenStackNetwork
from services.vm_worker.openstack_calls.project import OpenStackProject
from shared.openstack.clouds import Clouds
from shared.openstack.connections import HttpBounds
from shared.runtime.deadline import Deadline
from shared.runtime.tenants import Tenants

_SERVICES = ("compute", "network", "image")


@dataclass(frozen=True)
class _Names:
    compute: ComputeNames = field(default_factory=ComputeNames)
    network: NetworkNames = field(default_factory=NetworkNames)


class OpenStackBackend(Clouds):
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
        super().__init__(
            clouds_file,
            tenants,
            bounds=bounds or HttpBounds(connections=threads),
            metrics=API,
            services=_SERVICES,
            threads=threads,
        )
        self._dns_servers = dns_servers
        self._names: dict[tuple[str, str], _Names] = {}

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> OpenStackProject:
        """Return the tenant's project on ``cloud``; nothing starts there after ``deadline``."""
        calls = self.calls(cloud, tenant, deadline)
        names = self._names.setdefault((cloud, calls.project_id), _Names())
        return OpenStackProject(
            cloud,
            tenant,
            OpenStackCompute(calls, names.compute),
            OpenStackNetwork(calls, self._dns_servers, names.network),
            calls,
        )
