"""The list of this cloud's machines, and machines that aren't there."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from colobus.nodes.node_list import FAKE, load_nodes
from devcloud.machines import ARM64, MACHINES
from devcloud.nodes import CREDENTIALS_FILE, fakes, machines


def test_a_list_can_be_shown_to_anybody_and_is_as_colobus_reads_it(tmp_path: Path) -> None:
    """Only the file beside it has a password."""
    text = yaml.safe_dump({"nodes": machines("http://127.0.0.1:21026")})
    assert "password" not in text
    (tmp_path / "nodes.yaml").write_text(text)
    (tmp_path / CREDENTIALS_FILE).write_text("{username: operator, password: s3cret}")
    nodes = load_nodes(tmp_path / "nodes.yaml")
    assert [node.name for node in nodes] == [machine.name for machine in MACHINES]
    assert nodes[0].fields()["driver_info"]["redfish_password"] == "s3cret"


def test_the_machine_for_arm64_is_of_a_class_of_its_own() -> None:
    """Who asks for just any machine must not be given one that can't run its image."""
    (entry,) = machines("http://127.0.0.1:21027", (ARM64,), "bmc-arm64.yaml")
    assert (entry["arch"], entry["boot_mode"]) == ("aarch64", "uefi")
    assert entry["bmc"]["credentials_file"] == "bmc-arm64.yaml"
    assert entry["resource_class"] not in {machine.resource_class for machine in MACHINES}


def test_a_fake_has_no_board() -> None:
    """Nothing is ever asked of it, so nothing must be known of it."""
    (node,) = (one.fields() for one in fakes("burst", 1))
    assert node["driver"] == FAKE
    assert "redfish" not in json.dumps(node)


def test_fakes_are_all_different() -> None:
    """Fifty of them, and those of another test beside them."""
    nodes = [*fakes("one", 300), *fakes("two", 300)]
    assert len({node.name for node in nodes}) == 600
    assert len({port for node in nodes for port in node.ports}) == 600
