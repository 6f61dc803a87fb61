"""Stacks and clusters: what Heat, Magnum, Nova, Neutron and the clusters' host hold of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

from devcloud.components.kubernetes import clusters_root
from devcloud.components.magnum import RECIPES
from devcloud.plugins.colobus_devcloud_kubernetes.folder import Folder
from tests.end_to_end.clusters.conftest import Magnum
from tests.end_to_end.stacks.conftest import Heat
from tests.faults.facts import Held, Instance, Reservation
from tests.faults.magnum import UUID, admissions, clusters
from tests.faults.plan import STACK_QUOTAS, Wares
from tests.faults.schedule import ORCHESTRATORS, STACK_SERVICES
from tests.faults.words import Words, listening
from tests.faults.works import NotSeen
from tests.support.cloud import Cloud
from tests.support.conditions import eventually_sync
from tests.support.proxy import Proxy

PARTS = ("heat", "magnum")
#: {cable: what clouds.yaml calls the way that it is, and its component in devcloud}.
_CABLES = {
    "stack_worker-heat": ("orchestration", "heat-api", "/v1/%(project_id)s"),
    "k8s_worker-magnum": ("container_infra", "magnum-api", "/v1"),
}
#: How Heat calls what it makes: after its stack, which is called after its resource.
_PART = re.compile(r"(stack-[0-9a-z]{26})-")
_T = TypeVar("_T")


@dataclass
class Orchestration:
    """``heat`` and ``magnum`` as the tenants see them, ``words`` all that both ever said."""

    cloud: Cloud
    heat: Heat
    magnum: Magnum
    words: Words

    @property
    def services(self) -> tuple[str, ...]:
        """All services that run where there are stacks and clusters."""
        return STACK_SERVICES

    @property
    def parts(self) -> tuple[str, ...]:
        """What must run of devcloud."""
        return PARTS

    @property
    def components(self) -> tuple[str, ...]:
        """All of Heat and Magnum that runs."""
        return ORCHESTRATORS

    @property
    def wares(self) -> Wares:
        """Servers are those of VMs."""
        return Wares()

    def leads(self, cloud: Cloud) -> dict[str, str]:
        """Return the ways to Heat and Magnum."""
        url = cloud.supervisor.site.ports.url
        return {cable: url(api, path) for cable, (_, api, path) in _CABLES.items()}

    def lead_through(self, clouds: dict[str, Any], cables: Mapping[str, Proxy]) -> None:
        """Have the workers take these ways."""
        for cable, (service, _, _) in _CABLES.items():
            clouds["devcloud"][f"{service}_endpoint_override"] = cables[cable].url

    def go_on(self) -> None:
        """All that is paused are components."""

    def held(self) -> Iterator[Held]:
        """Everything that there is, object by object."""
        yield from self._in_heat()
        names = self.words.names()
        yield from clusters(self.magnum, names)
        yield from admissions(self.magnum, names)
        yield from self._on_the_host(names)
        yield from self._parts()

    def _in_heat(self) -> Iterator[Held]:
        marks = self.cloud.marks
        for tenant in STACK_QUOTAS:
            for one in _asked(partial(self.heat.stacks, tenant)):
                whose = marks.resource_of(one["tags"] or ()) or "nobody"
                yield Held("stack", one["id"], whose, None, one["stack_status"])

    def _on_the_host(self, names: Mapping[str, str]) -> Iterator[Held]:
        """The folders of clusters, whole or half gone, and who runs in them."""
        root = clusters_root(self.cloud.supervisor.site)
        for path in sorted(root.iterdir()):
            (uuid,) = UUID.findall(path.name)
            half = path.name != uuid
            state = None if half else Folder(path).status().state
            what = "half_folder" if half else "folder"
            yield Held(what, path.name, names.get(uuid, "nobody"), uuid, state)
        running = {uuid for line in _command_lines(str(root)) for uuid in UUID.findall(line)}
        for uuid in sorted(running):
            yield Held("control_plane", f"in {uuid}", names.get(uuid, "nobody"), uuid)

    def _parts(self) -> Iterator[Held]:
        """What Heat has made in Nova and Neutron, known by its name."""
        compute, network = self.cloud.admin.compute, self.cloud.admin.network
        shown = compute.get("/servers/detail?all_tenants=true&name=stack-").json()
        servers = _asked(lambda: {one["id"]: one for one in shown["servers"]})
        for one in servers.values():
            if (part := _PART.match(one["name"])) is not None:
                yield Held("stack_server", one["id"], part[1], None, one["status"])
        for one in network.networks():
            if (part := _PART.match(one.name)) is not None:
                yield Held("stack_network", one.id, part[1])
        for one in network.ports():
            server = servers.get(one.device_id)
            name = server["name"] if server is not None else one.name
            if (part := _PART.match(name or "")) is not None:
                what = "stack_port" if server is None else "stack_server_port"
                yield Held(what, one.id, part[1], one.device_id or one.network_id)

    def said(
        self,
        ids: Collection[str],
        accepted: Mapping[str, str],
        reservations: Iterable[Reservation],
    ) -> Iterator[Instance]:
        """Yield each stack and cluster that ever was, and those that were accepted and never were.

        Magnum accepts a cluster before anything is written of it.
        """
        del reservations
        of_each = defaultdict(list)
        for one in self.words.all():
            of_each[one.id].append(one)
        for words in of_each.values():
            name = words[0].name
            if name in ids:
                faults = [one.reason or "No reason is given." for one in words if one.fails]
                made = any(one.completes for one in words)
                yield Instance(name, launched=made, fault=faults[-1] if faults else None)
        for backend_id in accepted.keys() - of_each.keys():
            yield Instance(accepted[backend_id], launched=False)

    def made(self, ids: Collection[str], reservations: Iterable[Reservation]) -> Counter[str]:
        """Return how many stacks and clusters there ever were of each of these."""
        del reservations
        return Counter(name for name in self.words.names().values() if name in ids)

    def clear(self) -> None:
        """Remove what a test that failed has left, with Heat's leaks.

        Each of them, whatever of the others can't be removed.
        """
        with ExitStack() as steps:  # the last one first
            steps.callback(self._clear_parts)
            steps.callback(self._clear_stacks)
            for tenant in STACK_QUOTAS:
                steps.callback(self.magnum.clear, tenant)

    def _clear_stacks(self) -> None:
        for tenant in STACK_QUOTAS:
            for stack in self.heat.stacks(tenant):
                self.heat.of(tenant).orchestration.delete_stack(stack["id"])
        eventually_sync(self._no_stacks, within=120, what="no stack is left")

    def _clear_parts(self) -> None:
        compute, network = self.cloud.admin.compute, self.cloud.admin.network
        left = list(self._parts())
        for what, remove in (
            ("stack_server", compute.delete_server),
            ("stack_port", network.delete_port),
            ("stack_network", network.delete_network),
        ):
            for part in left:
                if part.what == what:
                    remove(part.id)

    def _no_stacks(self) -> bool:
        return not any(self.heat.stacks(tenant) for tenant in STACK_QUOTAS)


def _asked(ask: Callable[[], _T]) -> _T:
    """Raise `NotSeen` for what is no answer: they are being restarted, or one of theirs is."""
    try:
        return ask()
    except (KeyError, ValueError) as error:
        raise NotSeen(f"an orchestrator's answer can't be read: {error!r}") from error


def _command_lines(where: str) -> Iterator[str]:
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if where in line:
            yield line


@contextmanager
def orchestration(environment: dict[str, str], cloud: Cloud) -> Iterator[Orchestration]:
    """Heat and Magnum for one installation; nothing is left there."""
    heat, magnum = Heat(environment, cloud), Magnum(environment, cloud, cloud.supervisor)
    with listening(cloud.supervisor.site) as words:
        made = Orchestration(cloud, heat, magnum, words)
        try:
            yield made
        finally:
            made.clear()


def settings(folder: Path) -> dict[str, dict[str, str]]:
    """Return what an installation is told beyond the usual; ``folder`` is for its file."""
    recipes = folder / "cluster_templates.yaml"
    recipes.write_text(yaml.safe_dump(RECIPES))
    return {"k8s_worker": {"COLOBUS_CLUSTER_TEMPLATES_FILE": str(recipes)}}
