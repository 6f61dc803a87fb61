"""The reference of `machine_time` and `fifty_machines`: one machine by hand.

It makes the calls that nobody can do without, one after the other, with nothing kept and nothing
looked at twice: an allocation of Ironic, a clone of the golden image, a small second disk, a target
with both and one account, the node's connector and target, and the deploy.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from colobus.nodes.node_list import arch_trait
from services.iscsi_worker.names import golden_image
from tests.integration.iscsi_worker.world import World as Store
from tests.support.bare_metal import IQN

#: As large as the second disk that Colobus makes, in bytes.
SECOND_DISK = 1 << 20
#: Far beyond the targets' numbers that people take, and below those that Colobus does.
FIRST_TID = 4000


@dataclass
class BareMachine:
    """``ironic`` is openstacksdk's proxy; ``number`` tells it from others of the same script."""

    ironic: Any
    store: Store
    image: str
    flavor: str
    arch: str
    number: int = 0
    name: str = field(default_factory=lambda: f"script-{secrets.token_hex(4)}")
    node_id: str = ""

    @property
    def target(self) -> str:
        """Its target's name."""
        return f"{IQN}:{self.name}"

    @property
    def _user(self) -> str:
        return f"user-{self.name}"

    @property
    def _disks(self) -> tuple[str, str]:
        return f"{self.name}.root", f"{self.name}.config"

    @property
    def _tid(self) -> tuple[str, str]:
        return "--tid", str(FIRST_TID + self.number)

    def make(self) -> None:
        """Do all of it, up to Ironic's having taken the order to deploy."""
        allocation = self.ironic.create_allocation(
            name=self.name, resource_class=self.flavor, traits=[arch_trait(self.arch)]
        )
        store, (root, config) = self.store, self._disks
        rbd = store.rbd.RBD()
        rbd.clone(store.pool, golden_image(self.image), "golden", store.pool, root)
        rbd.create(store.pool, config, SECOND_DISK)
        store.write(config, bytes(SECOND_DISK))
        password = secrets.token_hex(8)
        self._export(password)
        self.node_id = self._allocated(allocation.id)
        self.ironic.create_volume_connector(
            node_uuid=self.node_id, type="iqn", connector_id=self._initiator
        )
        self.ironic.create_volume_target(
            node_uuid=self.node_id,
            volume_type="iscsi",
            boot_index=0,
            volume_id=self.name,
            properties={
                "target_portal": store.tgtd.portal,
                "target_iqn": self.target,
                "target_lun": 1,
                "auth_method": "CHAP",
                "auth_username": self._user,
                "auth_password": password,
            },
        )
        self.ironic.set_node_provision_state(self.node_id, "active")

    def undeploy(self) -> None:
        """Have Ironic undeploy it; that ends when its node is `available`."""
        self.ironic.set_node_provision_state(self.node_id, "deleted")

    def clear(self) -> None:
        """Take away what is left of a machine that is undeployed. Ironic has done its part."""
        for connector in self.ironic.volume_connectors(node=self.node_id):
            self.ironic.delete_volume_connector(connector)
        order = self.store.tgtd.order
        order("--op", "delete", "--mode", "target", "--force", *self._tid)
        order("--op", "delete", "--mode", "account", "--user", self._user)
        for disk in self._disks:
            self.store.drop(disk)

    @property
    def _initiator(self) -> str:
        return f"{IQN}:initiator-{self.name}"

    def _allocated(self, allocation_id: str) -> str:
        """Wait for Ironic's choice, of which the SDK looks every two seconds only."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = self.ironic.get_allocation(allocation_id)
            if found.state == "active":
                return str(found.node_id)
            time.sleep(0.1)
        raise TimeoutError("no node was allocated")

    def _export(self, password: str) -> None:
        store = self.store
        order = store.tgtd.order
        order("--op", "new", "--mode", "target", *self._tid, "--targetname", self.target)
        options = f"conf={store.tgtd.ceph_conf};id={store.tgtd.ceph_user}"
        for lun, disk in enumerate(self._disks, start=1):
            image = ["--lun", str(lun), "--bstype", "rbd", "--bsopts", options]
            backing = ["--backing-store", f"{store.ceph.pool}/{disk}"]
            order("--op", "new", "--mode", "logicalunit", *self._tid, *image, *backing)
        order("--op", "new", "--mode", "account", "--user", self._user, "--password", password)
        order("--op", "bind", "--mode", "account", *self._tid, "--user", self._user)
        order("--op", "bind", "--mode", "target", *self._tid, "--initiator-name", self._initiator)
