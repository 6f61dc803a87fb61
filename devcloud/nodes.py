"""The operator's list of machines, `nodes.yaml`, and what Ironic makes of an entry.

nodes:
- name: metal-1                   # unique; what the operator calls it
  resource_class: diskless        # what a machine's `flavor` asks for
  arch: x86_64                    # becomes the trait HW_ARCH_X86_64
  traits: [CUSTOM_RACK_7]         # more of them, optional
  boot_mode: bios                 # or uefi
  ports: ["52:54:00:c0:b0:01"]    # MACs of the cards that boot
  bmc:
    driver: redfish               # or fake-hardware: for tests, needs nothing else
    address: http://127.0.0.1:21026
    system: /redfish/v1/Systems/…
    credentials_file: bmc.yaml    # {username, password}, in a file beside this one
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import yaml

from devcloud.components.bmc import USER
from devcloud.credentials import write_private
from devcloud.machines import MACHINES
from devcloud.site import Site

RESOURCE_CLASS = "diskless"
CREDENTIALS_FILE = "bmc.yaml"
FAKE = "fake-hardware"


class Bmc(TypedDict, total=False):
    """How to switch a machine."""

    driver: str
    address: str
    system: str
    credentials_file: str


class Node(TypedDict):
    """One entry."""

    name: str
    resource_class: str
    arch: str
    traits: list[str]
    boot_mode: str
    ports: list[str]
    bmc: Bmc


def machines(bmc_address: str) -> list[Node]:
    """Return the entries of this cloud's machines."""
    return [
        Node(
            name=machine.name,
            resource_class=RESOURCE_CLASS,
            arch=machine.arch,
            traits=[],
            boot_mode=machine.boot_mode,
            ports=[machine.mac],
            bmc=Bmc(
                driver="redfish",
                address=bmc_address,
                system=f"/redfish/v1/Systems/{machine.system_id}",
                credentials_file=CREDENTIALS_FILE,
            ),
        )
        for machine in MACHINES
    ]


def fakes(prefix: str, count: int, arch: str = "x86_64") -> list[Node]:
    """Return entries of machines that aren't there; `prefix` is their resource class too.

    Everything that is asked of them succeeds. Their cards' addresses come from the prefix, so that
    two tests' don't collide.
    """
    high = sum(prefix.encode()) % 256
    return [
        Node(
            name=f"{prefix}-{number}",
            resource_class=prefix,
            arch=arch,
            traits=[],
            boot_mode="bios",
            ports=[f"52:54:fa:{high:02x}:{number // 256:02x}:{number % 256:02x}"],
            bmc=Bmc(driver=FAKE),
        )
        for number in range(count)
    ]


def trait(arch: str) -> str:
    """Return the trait that says which programs a machine runs, as os-traits names them."""
    return f"HW_ARCH_{arch.upper()}"


def ironic_node(entry: Node, login: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of Ironic's node.

    Ironic wants a ramdisk for every node that it deploys, though it boots none where the root is a
    volume: its address is never asked.
    """
    bmc = entry["bmc"]
    driver_info = dict.fromkeys(("deploy_kernel", "deploy_ramdisk"), "http://nowhere.invalid/")
    interfaces = {"storage_interface": "external", "network_interface": "noop"}
    if bmc["driver"] == FAKE:
        names = ("boot", "deploy", "management", "power")
        interfaces |= {f"{name}_interface": "fake" for name in names}
    else:
        driver_info |= {
            "redfish_address": bmc["address"],
            "redfish_system_id": bmc["system"],
            "redfish_username": login["username"],
            "redfish_password": login["password"],
        }
    capabilities = f"iscsi_boot:True,boot_mode:{entry['boot_mode']}"
    return {
        "name": entry["name"],
        "driver": bmc["driver"],
        "resource_class": entry["resource_class"],
        "properties": {"cpu_arch": entry["arch"], "capabilities": capabilities},
        "driver_info": driver_info,
        **interfaces,
    }


def credentials(site: Site) -> dict[str, str]:
    """Return the login of the machines' boards."""
    return {"username": USER, "password": site.credentials["bmc"]}


def write(site: Site) -> None:
    """Write the list, and the credentials that it refers to, into the cloud's folder."""
    entries = {"nodes": machines(site.ports.url("bmc"))}
    write_private(site.paths.nodes_yaml, yaml.safe_dump(entries, sort_keys=False))
    file = site.paths.nodes_yaml.with_name(CREDENTIALS_FILE)
    write_private(file, yaml.safe_dump(credentials(site), sort_keys=False))
