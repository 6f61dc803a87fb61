"""Machines that aren't there, as many as are wanted: Ironic's fake hardware, a double behind it.

What the double does is said in `devcloud.stand_ins.fake_machines`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from colobus.nodes.enrolment import enrol
from devcloud.api import open_devcloud
from devcloud.keystone_client import connect_admin
from devcloud.nodes import fakes
from tests.support import devcloud
from tests.support.conditions import eventually_sync
from tests.support.installation import ROOT

#: What the double logs in with.
PACKAGE = "libiscsi7"
OFF_AND_FREE = ("available", "power off")


@dataclass(frozen=True)
class FakeMachines:
    """``flavor`` is their resource class, which nothing else has; ``log``: what the double says."""

    ironic: Any
    flavor: str
    names: tuple[str, ...]
    log: Path

    def nodes(self) -> list[Any]:
        """All of them, as Ironic shows them."""
        return list(self.ironic.nodes(details=True, resource_class=self.flavor))

    def held(self) -> list[str]:
        """What Ironic has of machines on them, in words; nothing where all are clean."""
        nodes = self.nodes()
        ids = {node.id for node in nodes}
        disks = [
            *self.ironic.volume_connectors(details=True),
            *self.ironic.volume_targets(details=True),
        ]
        return [
            *(f"{node.name} {why}" for node in nodes for why in _unclean(node)),
            *(f"{one.name} is allocated" for one in self._allocations()),
            *(f"{type(one).__name__} {one.id}" for one in disks if one.node_id in ids),
        ]

    def reserved(self) -> dict[str, str]:
        """{id of an allocation of them: its name}."""
        return {one.id: one.name for one in self._allocations()}

    def _allocations(self) -> list[Any]:
        return list(self.ironic.allocations(resource_class=self.flavor))

    def forget(self) -> None:
        """Have Ironic forget them, whatever state they are in."""
        for node in self.nodes():
            idle = partial(_idle, self.ironic, node.id)
            eventually_sync(idle, what=f"{node.name} is idle")
            self.ironic.set_node_maintenance(node, "the test is over")
            self.ironic.delete_node(node)
        for one in self._allocations():
            self.ironic.delete_allocation(one)


def _idle(ironic: Any, node_id: str) -> bool:
    found = ironic.get_node(node_id)
    return found.reservation is None


def _unclean(node: Any) -> Iterator[str]:
    state = (node.provision_state, node.power_state)
    if state != OFF_AND_FREE:
        yield f"is {state}"
    if node.is_maintenance:
        yield f"is in maintenance: {node.maintenance_reason}"
    if node.instance_id or node.instance_info:
        yield f"is {node.instance_id}'s: {node.instance_info}"
    if "colobus" in (node.extra or {}):
        yield f"is marked: {node.extra['colobus']}"


@contextmanager
def fake_machines(flavor: str, count: int, folder: Path) -> Iterator[FakeMachines]:
    """Have Ironic know so many, and a double behind them; Ironic forgets them at the end."""
    site = open_devcloud().site
    devcloud.install(PACKAGE)
    ironic = connect_admin(site, system=True).baremetal
    ironic.connect_retries = 2  # an Ironic that was stopped meanwhile closes what was kept
    nodes = fakes(flavor, count, boots=True)
    made = FakeMachines(
        ironic, flavor, tuple(node.name for node in nodes), folder / f"{flavor}-machines.log"
    )
    try:
        enrol(ironic, nodes)
        with _behind(made):
            yield made
    finally:
        made.forget()


@contextmanager
def _behind(machines: FakeMachines) -> Iterator[None]:
    """Run the double. Without it all of them are off, whatever Ironic says."""
    program = [sys.executable, "-m", "devcloud.stand_ins.fake_machines", machines.flavor]
    with (
        machines.log.open("ab") as log,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *program], cwd=ROOT, stdout=log, stderr=log
        ) as process,
    ):
        try:
            eventually_sync(
                lambda: "are there" in _said(process, machines.log), what="the machines' double"
            )
            yield
            _said(process, machines.log)
        finally:
            process.kill()


def _said(process: subprocess.Popen[bytes], log: Path) -> str:
    text = log.read_text(errors="replace")
    assert process.poll() is None, (
        f"the double has ended with {process.returncode}:\n{text[-3000:]}"
    )
    return text
