"""Default networks, which the vm_worker makes once for each tenant: what there is, what may be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from tests.faults.facts import Common
from tests.support.cloud import Cloud

#: What one is made of, each once.
PARTS = ("network", "subnet", "router")


def projects_of(tenants_file: Path) -> dict[str, str]:
    """Return {project: tenant} of an installation."""
    tenants = yaml.safe_load(tenants_file.read_text())["tenants"]
    return {id: name for name, of in tenants.items() for id in of["projects"].values()}


def default_networks(cloud: Cloud, projects: Mapping[str, str]) -> list[Common]:
    """Return every part of the installation's default networks, whosever project it is in."""
    found = cloud.default_networks()
    leads = {port.device_id: port.network_id for port in found.interfaces}

    def tenant(project: str) -> str:
        return projects.get(project, f"nobody (project {project})")

    return [
        *(Common("network", one.id, tenant(one.project_id)) for one in found.networks),
        *(
            Common("subnet", one.id, tenant(one.project_id), one.network_id)
            for one in found.subnets
        ),
        *(
            Common("router", one.id, tenant(one.project_id), leads.get(one.id))
            for one in found.routers
        ),
    ]


def wrong(
    commons: Iterable[Common], *, served: Collection[str], needed: Collection[str] = ()
) -> Iterator[str]:
    """Yield what there is too much or too little of. Pure.

    Args:
        commons: What there is.
        served: The tenants that may have a default network, in part or whole.
        needed: Those that must have a whole one.
    """
    found: dict[tuple[str, str], list[Common]] = defaultdict(list)
    for one in commons:
        found[one.tenant, one.what].append(one)
    for tenant in sorted({*needed, *(name for name, _ in found)}):
        for what in PARTS:
            ids = sorted(one.id for one in found[tenant, what])
            if ids and tenant not in served:
                yield f"leaked: {tenant} has default {what}s {ids}, and never needed one"
            elif len(ids) > 1:
                yield f"doubled: {tenant} has {len(ids)} default {what}s: {ids}"
            elif tenant in needed and not ids:
                yield f"lost: {tenant} has no default {what}"
        networks = {one.id for one in found[tenant, "network"]}
        for one in (*found[tenant, "subnet"], *found[tenant, "router"]):
            if tenant in needed and one.on not in networks:
                yield f"the default {one.what} {one.id} of {tenant} is on {one.on}, not on its own"
