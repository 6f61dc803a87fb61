"""The operator's list of machines and what Ironic makes of it."""

from __future__ import annotations

import json

import yaml

from devcloud.nodes import FAKE, fakes, ironic_node, machines, trait

ENTRY = machines("http://127.0.0.1:21026")[0]
LOGIN = {"username": "operator", "password": "s3cret"}


def test_a_list_can_be_shown_to_anybody() -> None:
    """Only the file beside it has a password."""
    text = yaml.safe_dump({"nodes": machines("http://127.0.0.1:21026")})
    assert "password" not in text
    assert yaml.safe_load(text)["nodes"][0] == ENTRY


def test_a_machine_is_told_to_boot_from_a_volume() -> None:
    """As Ironic's documentation of boot from volume has it."""
    node = ironic_node(ENTRY, LOGIN)
    assert node["properties"]["capabilities"] == f"iscsi_boot:True,boot_mode:{ENTRY['boot_mode']}"
    assert node["storage_interface"] == "external"
    assert node["driver_info"]["redfish_system_id"] == ENTRY["bmc"]["system"]
    assert node["driver_info"]["redfish_password"] == "s3cret"


def test_a_fake_has_no_board() -> None:
    """Nothing is ever asked of it, so nothing must be known of it."""
    (node,) = (ironic_node(entry, {}) for entry in fakes("burst", 1))
    assert node["driver"] == FAKE
    assert "redfish" not in json.dumps(node)


def test_fakes_are_all_different() -> None:
    """Fifty of them, and those of another test beside them."""
    entries = [*fakes("one", 300), *fakes("two", 300)]
    assert len({entry["name"] for entry in entries}) == 600
    assert len({port for entry in entries for port in entry["ports"]}) == 600


def test_the_architecture_is_a_trait_that_ironic_knows() -> None:
    """The names of os-traits; any other would have to begin with CUSTOM_."""
    assert trait("x86_64") == "HW_ARCH_X86_64"
    assert trait("aarch64") == "HW_ARCH_AARCH64"
