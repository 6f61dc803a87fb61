"""The reference of `cluster_time`: one cluster by hand, proven as Colobus proves it.

It makes the calls that nobody can do without: the order to Magnum, looks at it until it is
complete, a certificate of Magnum's, and looks at the cluster's own API server until that answers,
shows as many nodes Ready, and has what the recipe promises. One at a time, with a pause of
`tests.support`'s (0.1 s) between two looks.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException

from tests.support.conditions import eventually
from tests.support.kubernetes import Access, ready_nodes
from tests.support.magnum import WITHIN, Clusters

DNS, PLACE = "kube-dns", "kube-system"


def make(clusters: Clusters, template: str, nodes: int) -> float:
    """Make one, and take it away again; return the seconds until all is proven."""
    began = time.perf_counter()
    made = clusters.begin(template, nodes)
    try:
        clusters.until(made, "CREATE_COMPLETE")
        asyncio.run(_proven(clusters.access(made), nodes))
        return time.perf_counter() - began
    finally:
        clusters.delete(made)


async def _proven(access: Access, nodes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder:
        async with access.connected(Path(folder) / "access") as api:

            async def is_ready() -> bool:
                return len(await ready_nodes(api)) == nodes and await _has_dns(api)

            await eventually(is_ready, within=WITHIN, what=f"{nodes} nodes are Ready")


async def _has_dns(api: ApiClient) -> bool:
    try:
        found = await client.CoreV1Api(api).read_namespaced_endpoints(DNS, PLACE)
    except ApiException as error:
        if error.status != 404:
            raise
        return False
    return any(one.addresses for one in found.subsets or ())
