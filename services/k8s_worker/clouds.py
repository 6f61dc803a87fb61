"""All clouds of this worker, as its backend."""

from __future__ import annotations

from pathlib import Path

from services.k8s_worker.magnum_calls import MagnumProject
from services.k8s_worker.metrics import API
from shared.openstack.clouds import Clouds
from shared.openstack.connections import HttpBounds
from shared.runtime.deadline import Deadline
from shared.runtime.tenants import Tenants


class MagnumBackend(Clouds):
    """`services.k8s_worker.backend.Backend`: the clouds of a ``clouds.yaml``."""

    def __init__(
        self, clouds_file: Path, tenants: Tenants, *, bounds: HttpBounds, threads: int
    ) -> None:
        super().__init__(
            clouds_file, tenants, bounds=bounds, metrics=API, services=(), threads=threads
        )

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> MagnumProject:
        """Return the tenant's project on ``cloud``; nothing starts there after ``deadline``."""
        return MagnumProject(cloud, tenant, self.calls(cloud, tenant, deadline))
