"""A Kubernetes cluster, and its nodes as a client sees them who has only the kubeconfig."""

from __future__ import annotations

from pathlib import Path

import yaml
from kubernetes_asyncio import client as kubernetes
from kubernetes_asyncio import config

from colobus import Client, CreateCluster, Resource
from colobus.cli.output import details
from devcloud.api import Site
from devcloud.credentials import write_private
from devcloud.demo.telling import LABELS, LEASE, DemoFailed, follow_until_active, heading, out
from devcloud.kubernetes.programs import version

#: What has to be brought up for it, beside all that is brought up without being named.
COMPONENTS = ("k8s_worker",)
NODES = 2


async def begin_cluster(client: Client, site: Site) -> str:
    """Ask for it: Magnum needs its time, during which other things can be shown."""
    asked = CreateCluster(
        name="demo-cluster",
        node_count=NODES,
        version=version(site),
        labels=LABELS,
        lease=LEASE,
        deadline=900,
    )
    cluster = await client.create_cluster(asked)
    out.print(f"\nPOST /v1/clusters → 202, {cluster.id}, which Magnum makes meanwhile")
    return cluster.id


async def show_cluster(client: Client, site: Site, id: str) -> Resource:
    """Show its way, and that its kubeconfig opens it."""
    heading("A Kubernetes cluster: a real control plane, with nodes that run no containers")
    cluster = await follow_until_active(client, id)
    told = await client.kubeconfig(id)
    file = kubeconfig_of(site)
    write_private(file, told.kubeconfig)
    nodes = await _nodes(told.kubeconfig)
    if len(nodes) != NODES:
        raise DemoFailed(f"{id} has {len(nodes)} nodes for its kubeconfig, not {NODES}")
    details(
        [
            ("API server", told.api_address),
            ("version", cluster.status.outputs["kubernetes_version"]),
            ("kubeconfig", f"{file}   until {told.expires_at:%F %R}"),
            *(("node", f"{name}, Ready: {ready}") for name, ready in nodes.items()),
        ]
    )
    return cluster


def kubeconfig_of(site: Site) -> Path:
    """Return the file that the demo keeps the kubeconfig in; only its owner may read it."""
    return site.paths.run / "demo-kubeconfig.yaml"


async def _nodes(kubeconfig: str) -> dict[str, str]:
    """Return {name: whether it is Ready, as the cluster says it: True, False or Unknown}."""
    configuration = kubernetes.Configuration()
    await config.load_kube_config_from_dict(
        yaml.safe_load(kubeconfig), client_configuration=configuration
    )
    async with kubernetes.ApiClient(configuration) as api:
        found = await kubernetes.CoreV1Api(api).list_node()
    return {
        one.metadata.name: next(
            (seen.status for seen in one.status.conditions if seen.type == "Ready"), "Unknown"
        )
        for one in found.items
    }
