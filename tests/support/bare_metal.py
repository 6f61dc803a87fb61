"""Bare metal as its operator sees it: Ironic's nodes, the machines' consoles."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from colobus.nodes.node_list import arch_trait
from devcloud.api import Site, open_devcloud
from devcloud.components.bmc import hardware
from devcloud.keystone_client import connect_admin
from devcloud.machines import ALL_MACHINES, MACHINES, Machine, console
from devcloud.nodes import RESOURCE_CLASS
from devcloud.plugins.colobus_devcloud_machines import pid
from devcloud.provisioning import network_of
from tests.support.conditions import eventually_sync
from tests.support.iscsi_target import PORT

IQN = "iqn.2026-11.org.colobus"


@dataclass(frozen=True, slots=True)
class Volume:
    """What a machine boots from, and the names and the password to get it by."""

    name: str
    portal: str
    user: str
    password: str

    @property
    def target(self) -> str:
        """The target's name."""
        return f"{IQN}:{self.name}"

    @property
    def initiator(self) -> str:
        """The name of the one who may log in."""
        return f"{IQN}:initiator-{self.name}"

    @property
    def properties(self) -> dict[str, Any]:
        """What Ironic is told of it."""
        return {
            "target_portal": self.portal,
            "target_iqn": self.target,
            "target_lun": 1,
            "auth_method": "CHAP",
            "auth_username": self.user,
            "auth_password": self.password,
        }


def new_volume(site: Site) -> Volume:
    """Return names that nothing else has."""
    name = f"test-{secrets.token_hex(4)}"
    portal = f"{network_of(site).portal}:{PORT}"
    return Volume(name, portal, f"user-{name}", secrets.token_hex(8))


class Console:
    """What a machine has said on its serial line since now."""

    def __init__(self, site: Site, machine: Machine) -> None:
        self._file = console(site, machine)
        self._seen = self._file.stat().st_size if self._file.exists() else 0

    def text(self) -> str:
        """Return all of it."""
        if not self._file.exists():
            return ""
        return self._file.read_bytes()[self._seen :].decode("latin-1")

    def until(self, words: str, within: float = 180) -> str:
        """Wait for words and return all that was said up to now."""

        def said() -> str | None:
            text = self.text()
            assert "tiny: FAILED" not in re.sub(r"\[[\d.]+\] ", "", text), text[-2000:]
            return text if words in text else None

        return eventually_sync(said, within=within, what=f"the console says {words!r}")


class Metal:
    """The operator's hands."""

    def __init__(self) -> None:
        self.cloud = open_devcloud()
        self.site = self.cloud.site
        self.ironic = connect_admin(self.site, system=True).baremetal

    def process(self, machine: Machine) -> int | None:
        """Return the process that is this machine, if it is on."""
        return pid(hardware(self.site, machine))

    @contextmanager
    def allocated(self, name: str) -> Iterator[tuple[Any, Machine]]:
        """Reserve a node; it is given back clean at the end, however it was used."""
        made = self.ironic.create_allocation(
            name=name, resource_class=RESOURCE_CLASS, traits=[arch_trait(MACHINES[0].arch)]
        )
        try:
            made = self.ironic.wait_for_allocation(made, timeout=60)
            node = self.ironic.get_node(made.node_id)
            yield node, next(m for m in ALL_MACHINES if m.name == node.name)
        finally:
            if made.node_id:
                self.release(made.node_id)
            self.ironic.delete_allocation(made, ignore_missing=True)

    def deploy(self, node: Any, volume: Volume) -> None:
        """Have a node boot from a volume; wait for Ironic's word only."""
        self.ironic.create_volume_connector(
            node_uuid=node.id, type="iqn", connector_id=volume.initiator
        )
        self.ironic.create_volume_target(
            node_uuid=node.id,
            volume_type="iscsi",
            boot_index=0,
            volume_id=volume.name,
            properties=volume.properties,
        )
        self.ironic.validate_node(node, required=("boot", "deploy", "power", "storage"))
        self.ironic.set_node_provision_state(node, "active", wait=True, timeout=120)

    def release(self, node_id: str) -> None:
        """Undeploy a node and take away what Ironic leaves of its volume."""
        node = self.ironic.get_node(node_id)
        if node.provision_state != "available":
            self.ironic.set_node_provision_state(node, "deleted", wait=True, timeout=120)
        for connector in self.ironic.volume_connectors(node=node_id):
            self.ironic.delete_volume_connector(connector)
        for target in self.ironic.volume_targets(node=node_id):
            self.ironic.delete_volume_target(target)
