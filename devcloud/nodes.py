"""The machines of this cloud as their operator lists them, for `colobus node enroll`."""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from colobus.nodes.node_list import FAKE, REDFISH, ListedNode, NoBoard, NodeEntry
from devcloud.components.bmc import USER
from devcloud.credentials import write_private
from devcloud.machines import MACHINES
from devcloud.site import Site

RESOURCE_CLASS = "diskless"
CREDENTIALS_FILE = "bmc.yaml"


def machines(bmc_address: str) -> list[dict[str, Any]]:
    """Return the entries of this cloud's machines."""
    return [
        {
            "name": machine.name,
            "resource_class": RESOURCE_CLASS,
            "arch": machine.arch,
            "boot_mode": machine.boot_mode,
            "ports": [machine.mac],
            "bmc": {
                "driver": REDFISH,
                "address": bmc_address,
                "system": f"/redfish/v1/Systems/{machine.system_id}",
                "credentials_file": CREDENTIALS_FILE,
            },
        }
        for machine in MACHINES
    ]


class _BootingFake(ListedNode):
    """Fake hardware that Ironic deploys as if it were real, down to the iPXE script."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of Ironic's node: boot and deploy are those of real machines."""
        return {**super().fields(), "boot_interface": "ipxe", "deploy_interface": "direct"}


def fakes(
    prefix: str, count: int, arch: str = "x86_64", *, boots: bool = False
) -> list[ListedNode]:
    """Return machines that aren't there; `prefix` is their resource class too.

    Everything that is asked of them succeeds. Their cards' addresses come from the prefix, so that
    two tests' don't collide. With ``boots`` they get a boot script as real machines do, for
    `devcloud.stand_ins.fake_machines` to log in by.
    """
    made = _BootingFake if boots else ListedNode
    digest = hashlib.sha256(prefix.encode()).digest()
    high = ":".join(f"{byte:02x}" for byte in digest[:3])
    return [
        made(
            NodeEntry(
                name=f"{prefix}-{number}",
                resource_class=prefix,
                arch=arch,
                boot_mode="bios",
                ports=(f"52:{high}:{number // 256:02x}:{number % 256:02x}",),
                bmc={"driver": FAKE},
            ),
            NoBoard(),
        )
        for number in range(count)
    ]


def write(site: Site) -> None:
    """Write the list, and the credentials that it refers to, into the cloud's folder."""
    entries = {"nodes": machines(site.ports.url("bmc"))}
    write_private(site.paths.nodes_yaml, yaml.safe_dump(entries, sort_keys=False))
    file = site.paths.nodes_yaml.with_name(CREDENTIALS_FILE)
    login = {"username": USER, "password": site.credentials["bmc"]}
    write_private(file, yaml.safe_dump(login, sort_keys=False))
