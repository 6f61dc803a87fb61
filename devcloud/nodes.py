"""The machines of this cloud as their operator lists them, for `colobus node enroll`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from colobus.nodes.node_list import FAKE, REDFISH, ListedNode, NoBoard, NodeEntry
from devcloud.components.bmc import USER
from devcloud.credentials import write_private
from devcloud.machines import MACHINES, Machine
from devcloud.site import Site

RESOURCE_CLASS = MACHINES[0].resource_class
CREDENTIALS_FILE = "bmc.yaml"


def machines(
    bmc_address: str,
    of: Sequence[Machine] = MACHINES,
    credentials_file: str = CREDENTIALS_FILE,
) -> list[dict[str, Any]]:
    """Return the entries of these machines of this cloud."""
    return [
        {
            "name": machine.name,
            "resource_class": machine.resource_class,
            "arch": machine.arch,
            "boot_mode": machine.boot_mode,
            "ports": [machine.mac],
            "bmc": {
                "driver": REDFISH,
                "address": bmc_address,
                "system": f"/redfish/v1/Systems/{machine.system_id}",
                "credentials_file": credentials_file,
            },
        }
        for machine in of
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


def write(site: Site, path: Path, board: str, entries: Sequence[dict[str, Any]]) -> None:
    """Write a list, and beside it the credentials of the board that its machines have."""
    write_private(path, yaml.safe_dump({"nodes": list(entries)}, sort_keys=False))
    login = {"username": USER, "password": site.credentials[board]}
    write_private(path.with_name(f"{board}.yaml"), yaml.safe_dump(login, sort_keys=False))
