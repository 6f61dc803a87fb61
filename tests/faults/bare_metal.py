"""The bare metal of a world: its nodes, the store its machines boot from, and what both hold."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.baremetal_worker.marks import Marks
from services.iscsi_worker.names import Names
from services.iscsi_worker.tgt_output import ShownTarget, read_targets
from tests.faults.facts import Held, Instance, Reservation
from tests.faults.plan import Wares
from tests.faults.schedule import IRONIC, METAL_SERVICES
from tests.faults.works import NotSeen
from tests.integration.iscsi_worker.tgtd import Tgtd
from tests.integration.iscsi_worker.world import World as Store
from tests.integration.iscsi_worker.world import make_world
from tests.support import devcloud
from tests.support.cloud import Cloud
from tests.support.fake_machines import OFF_AND_FREE, FakeMachines, fake_machines
from tests.support.installation import Installation
from tests.support.installation import Metal as MetalEntry
from tests.support.proxy import Proxy

STORE, METAL = "rack", "lab"
PARTS = ("ceph", "tgt", "ironic")
_CABLE = "baremetal_worker-ironic"
_IMAGE_BYTES = 1 << 26
#: Patient: who is looked at here may stand still for long.
_NOP = "nop_interval=5,nop_count=12"
#: The version of Ironic's API that shows the history of a node.
_HISTORY = "1.78"
_ACCOUNT = re.compile(r"^    (\S+)$", re.MULTILINE)


@dataclass
class BareMetal:
    """``machines`` are the double's, ``store`` as an administrator sees it."""

    machines: FakeMachines
    store: Store
    image: str

    @property
    def tgtd(self) -> Tgtd:
        """The iSCSI target, to be killed and paused."""
        return self.store.tgtd

    @property
    def services(self) -> tuple[str, ...]:
        """All services that run where there are machines."""
        return METAL_SERVICES

    @property
    def parts(self) -> tuple[str, ...]:
        """What must run of devcloud."""
        return PARTS

    @property
    def components(self) -> tuple[str, ...]:
        """The target is none of devcloud's."""
        return (IRONIC,)

    @property
    def wares(self) -> Wares:
        """What there is to be asked for."""
        return Wares(self.image, self.machines.flavor, self.machines.flavor)

    def leads(self, cloud: Cloud) -> dict[str, str]:
        """Return the way to Ironic; that to the store is a socket."""
        return {_CABLE: cloud.admin.session.get_endpoint(service_type="baremetal")}

    def lead_through(self, clouds: dict[str, Any], cables: Mapping[str, Proxy]) -> None:
        """Have the metal's entry lead through it."""
        clouds["devcloud-bare-metal"]["baremetal_endpoint_override"] = cables[_CABLE].url

    def go_on(self) -> None:
        """Resume the target."""
        self.tgtd.go_on()

    def places(self) -> dict[str, Any]:
        """What an installation is told of it."""
        (access,) = self.store.stores().values()
        entry = MetalEntry({"store": STORE, "cloud": "devcloud"}, {"cloud": "devcloud-bare-metal"})
        return {"stores": {STORE: access}, "metals": {METAL: entry}}

    def belongs_to(self, colobus: Installation) -> None:
        """Have it read whose things are by this installation's names."""
        self.store.installation = colobus.name

    def held(self) -> Iterator[Held]:
        """Everything of machines in Ironic, Ceph and tgt, object by object."""
        nodes = self.machines.nodes()
        yield from self._in_ironic(nodes)
        yield from self._in_ceph()
        yield from self._in_tgt({node.name: node.id for node in nodes})

    def _in_ironic(self, nodes: Iterable[Any]) -> Iterator[Held]:
        ironic, flavor = self.machines.ironic, self.machines.flavor
        marks = Marks(self.store.installation, "baremetal_worker")
        allocations = list(ironic.allocations(resource_class=flavor))
        names = {one.id: one.name for one in allocations}
        known = set()
        for node in nodes:
            known.add(node.id)
            state = (node.provision_state, node.power_state)
            owner = marks.owner_of(node.extra or {})
            unclean = node.instance_id or node.instance_info or node.is_maintenance
            if owner or unclean or state != OFF_AND_FREE:
                left = owner.resource_id if owner else "nobody"
                whose = names.get(node.instance_id, left)
                said = ", ".join((*state, *(["in maintenance"] * bool(node.is_maintenance))))
                yield Held("node", node.id, whose, node.name, said)
        for one in allocations:
            yield Held("allocation", one.id, one.name, one.node_id, one.state)
        for what, found in (
            ("volume_connector", ironic.volume_connectors(details=True)),
            ("volume_target", ironic.volume_targets(details=True)),
        ):
            for one in found:
                if one.node_id in known:
                    owner = marks.owner_of(one.extra or {})
                    yield Held(what, one.id, owner.resource_id if owner else "nobody", one.node_id)

    def _in_ceph(self) -> Iterator[Held]:
        names = Names(self.store.installation)
        for name in self.store.images():
            root, config = names.owner_of_image(name), names.owner_of_config_image(name)
            if config is not None:
                yield Held("config_image", name, config.resource_id)
            else:
                yield Held("root_image", name, root.resource_id if root else "nobody")

    def _in_tgt(self, nodes: Mapping[str, str]) -> Iterator[Held]:
        names = Names(self.store.installation)
        shown = self._targets()
        accounts = set(self._accounts())
        for target in shown:
            owner = names.owner_of_target(target.iqn)
            whose = owner.resource_id if owner else "nobody"
            offer = f"{len(target.luns)} disks to {len(target.initiators)}"
            yield Held("iscsi_target", target.iqn, whose, None, offer)
            for user in target.usernames:
                accounts.discard(user)
                yield Held("account", user, whose, target.iqn)
            for one in target.sessions:
                on = nodes.get(one.alias)
                yield Held("system", f"{target.iqn} {one.id}", whose, on, one.alias)
        yield from (Held("account", user, "nobody") for user in sorted(accounts))

    def _targets(self) -> list[ShownTarget]:
        self._check_that_tgtd_answers()
        return read_targets(self.tgtd.targets()).targets

    def _accounts(self) -> list[str]:
        return _ACCOUNT.findall(self.tgtd.order("--mode", "account", "--op", "show"))

    def _check_that_tgtd_answers(self) -> None:
        try:
            said = self.tgtd.order("--mode", "sys", "--op", "show")
        except subprocess.TimeoutExpired as error:
            raise NotSeen("tgtd does not answer") from error
        if "State: ready" not in said:
            raise NotSeen(f"tgtd does not answer: {said}")

    def said(
        self,
        ids: Collection[str],
        accepted: Mapping[str, str],
        reservations: Iterable[Reservation],
    ) -> Iterator[Instance]:
        """Yield what Ironic remembers of each machine's node, while it was the machine's."""
        del ids, accepted
        nodes = {node.name: node.id for node in self.machines.nodes()}
        for one in reservations:
            path = f"/nodes/{nodes[one.node]}/history?detail=true"
            answer = self.machines.ironic.get(path, microversion=_HISTORY)
            said = [
                entry["event"]
                for entry in answer.json()["history"]
                if entry["severity"] == "ERROR"
                and one.since[:19] <= entry["created_at"][:19]
                and (one.until is None or entry["created_at"][:19] <= one.until[:19])
            ]
            yield Instance(one.resource_id, launched=not said, fault=said[0] if said else None)

    def made(self, ids: Collection[str], reservations: Iterable[Reservation]) -> Counter[str]:
        """Return how often each machine had a node."""
        del ids
        return Counter(one.resource_id for one in reservations)


@contextmanager
def bare_metal(folder: Path, nodes: int) -> Iterator[BareMetal]:
    """So many nodes, a store and a target of their own; nothing is left of them."""
    environment = devcloud.up(*PARTS)
    with (
        make_world(environment, folder, nop=_NOP) as store,
        fake_machines(store.installation, nodes, folder) as machines,
    ):
        yield BareMetal(machines, store, store.make_golden(_IMAGE_BYTES))
