"""The time until a Kubernetes cluster is proven to work, against a bare script.

| | target |
|---|---|
| from the POST until the client's `wait` returns, ours / script (`bare_cluster`) | ≤ 1.1 |

Both order the same of the same Magnum, and do the same checks. Magnum's conductor asks its driver
every ten seconds how far a cluster is, for both: the rounds' ratios vary by that.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks import bare_cluster
from benchmarks.figures import Figure, side_by_side
from benchmarks.world import TENANT, World
from colobus import Client, Phase
from colobus.models import CreateCluster
from devcloud.components.magnum import RECIPES
from tests.support import devcloud
from tests.support.installation import SERVICES, Installation
from tests.support.magnum import Clusters

#: A member of the tenant's project.
PERSON = "alice"
VERSION = "1.20"
NODES = 2
LONGEST = 300


def run(world: World) -> list[Figure]:
    """Make one cluster at a time, in turn."""
    world = replace(world, environment=devcloud.up("magnum", "rabbitmq", "postgresql"))
    nodes = world.size(NODES, 1)
    clusters = Clusters(world.environment, PERSON)
    with _colobus(world, clusters) as colobus, clusters.template() as template:
        rounds = [
            (asyncio.run(_ours(colobus, nodes)), bare_cluster.make(clusters, template, nodes))
            for _ in range(world.rounds)
        ]
    return [side_by_side(f"a cluster of {nodes}, until proven", rounds, "s", at_most=1.1)]


@contextmanager
def _colobus(world: World, clusters: Clusters) -> Iterator[Installation]:
    """Run what makes clusters; the template that it makes goes with it."""
    with tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder:
        recipes = Path(folder) / "cluster_templates.yaml"
        recipes.write_text(yaml.safe_dump(RECIPES))
        settings = {"k8s_worker": {"COLOBUS_CLUSTER_TEMPLATES_FILE": str(recipes)}}
        with world.colobus(settings) as colobus:
            colobus.start(*SERVICES, "k8s_worker")
            try:
                yield colobus
            finally:
                colobus.stop()
                for one in list(clusters.magnum.cluster_templates()):
                    if one.name.startswith(f"colobus-{colobus.name}-"):
                        clusters.magnum.delete_cluster_template(one.id)


async def _ours(colobus: Installation, nodes: int) -> float:
    async with Client(colobus.url, token=colobus.tokens[TENANT]) as client:
        began = time.perf_counter()
        made = await client.create_cluster(CreateCluster(node_count=nodes, version=VERSION))
        await client.wait(made.id, timeout=LONGEST)
        seconds = time.perf_counter() - began
        await client.delete(made.id)
        await client.wait(made.id, Phase.DELETED, timeout=LONGEST)
    return seconds
