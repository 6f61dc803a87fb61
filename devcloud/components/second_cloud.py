"""What makes the second cloud another one: a host with room for `huge` that takes only its servers.

Source: Nova's AggregateMultiTenancyIsolation filter (Compute admin guide, "Compute schedulers").
"""

from __future__ import annotations

import json
from typing import ClassVar

from devcloud.component import Component
from devcloud.components.nova import NovaCompute3
from devcloud.keystone_client import connect_admin
from devcloud.tenants import SECOND_CLOUD

AGGREGATE = "second-cloud"


class SecondCloud(Component):
    """The aggregate of the second cloud's own host. Repeating it makes only what is missing."""

    name = "second-cloud"
    requires: ClassVar[tuple[str, ...]] = ("catalog", "nova-compute3")

    def configured(self) -> bool:
        """Tell whether it was made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Keep the host for the projects of the second cloud."""
        compute = connect_admin(self.site).compute
        tenants = json.loads(self.site.paths.tenants_json.read_text())
        projects = [facts["projects"][SECOND_CLOUD] for facts in tenants.values()]
        aggregate = compute.find_aggregate(AGGREGATE) or compute.create_aggregate(name=AGGREGATE)
        compute.set_aggregate_metadata(aggregate, {"filter_tenant_id": ",".join(projects)})
        if NovaCompute3.host not in (aggregate.hosts or ()):
            compute.add_host_to_aggregate(aggregate, NovaCompute3.host)
        self.site.mark_done(self.name)
