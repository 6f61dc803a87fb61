"""The operator's list of nodes: strict, every fault with its place, and no secret in it or told."""

from __future__ import annotations

from pathlib import Path

import pytest

from colobus.errors import UnusableInput
from colobus.nodes.node_list import ListedNode, arch_trait, load_nodes

SECRET = "s3cret-and-long"
BMC = "{driver: redfish, address: 'https://10.0.7.1', system: /redfish/v1/Systems/1"
FILE = f"{BMC}, credentials_file: bmc.yaml}}"
ENV = f"{BMC}, credentials_env: RACK_7}}"


def entry(**changed: str) -> str:
    """One node of a list, whose fields are YAML; an empty one is left out."""
    fields = {
        "name": "metal-1",
        "resource_class": "altra",
        "arch": "aarch64",
        "ports": "['52:54:00:C0:B0:01']",
        "bmc": FILE,
    }
    fields |= changed
    return ", ".join(f"{key}: {value}" for key, value in fields.items() if value)


def read(folder: Path, text: str, **environ: str) -> list[ListedNode]:
    """Read a list that has its credentials beside it."""
    (folder / "bmc.yaml").write_text(f"{{username: operator, password: {SECRET}}}")
    (folder / "nodes.yaml").write_text(text)
    return load_nodes(folder / "nodes.yaml", environ)


def listed(folder: Path, *entries: str, **environ: str) -> list[ListedNode]:
    return read(folder, "nodes:\n" + "".join(f"- {{{one}}}\n" for one in entries), **environ)


def test_a_node_is_told_to_boot_from_a_volume(tmp_path: Path) -> None:
    """As Ironic's documentation of boot from volume has it."""
    (node,) = listed(tmp_path, entry(traits="[CUSTOM_RACK_7]"))
    fields = node.fields()
    assert fields["properties"]["capabilities"] == "iscsi_boot:True,boot_mode:uefi"
    assert fields["storage_interface"] == "external"
    assert fields["driver_info"]["redfish_system_id"] == "/redfish/v1/Systems/1"
    assert fields["driver_info"]["redfish_password"] == SECRET
    assert node.traits == {"HW_ARCH_AARCH64", "CUSTOM_RACK_7"}
    assert node.ports == ("52:54:00:c0:b0:01",)  # as Ironic writes them
    assert SECRET not in repr(node)
    assert SECRET not in repr(node.login)


def test_credentials_may_be_in_a_variable(tmp_path: Path) -> None:
    """The password may have colons in it."""
    (node,) = listed(tmp_path, entry(bmc=ENV), RACK_7="operator:a:b")
    assert node.login is not None
    assert (node.login.username, node.login.password) == ("operator", "a:b")


def test_the_architecture_is_a_trait_that_ironic_knows() -> None:
    """The names of os-traits; any other would have to begin with CUSTOM_."""
    assert arch_trait("x86_64") == "HW_ARCH_X86_64"


FAULTS = {
    "not a mapping": ("[]", "expected a mapping with the list `nodes`"),
    "none": ("nodes: []", "nodes: there is none"),
    "no YAML": ("nodes: [", "line 1"),
    "twice": ("nodes: []\nnodes: []", "'nodes' is written twice"),
    "unknown": (f"x: 1\nnodes: [{{{entry()}}}]", "x: unknown key"),
    "not a node": ("nodes: [5]", "nodes[0]: expected a mapping"),
    "unknown field": (f"nodes: [{{{entry(rack='7')}}}]", "nodes[0].rack: unknown key"),
    "no name": (f"nodes: [{{{entry(name='')}}}]", "nodes[0].name is missing"),
    "bad name": (f"nodes: [{{{entry(name='a/b')}}}]", "nodes[0].name: "),
    "no ports": (f"nodes: [{{{entry(ports='[]')}}}]", "nodes[0].ports: "),
    "bad MAC": (f"nodes: [{{{entry(ports='[x]')}}}]", "nodes[0].ports[0]: "),
    "bad trait": (f"nodes: [{{{entry(traits='[fast]')}}}]", "nodes[0].traits[0]: "),
    "boot mode": (f"nodes: [{{{entry(boot_mode='dos')}}}]", "nodes[0].boot_mode: "),
    "no board": (f"nodes: [{{{entry(bmc='')}}}]", "nodes[0].bmc is missing"),
    "driver": (f"nodes: [{{{entry(bmc='{driver: smoke}')}}}]", "nodes[0].bmc.driver: expected"),
    "fake": (
        f"nodes: [{{{entry(bmc='{driver: fake-hardware, system: /1}')}}}]",
        "nodes[0].bmc.system: unknown key",
    ),
    "no credentials": (f"nodes: [{{{entry(bmc=BMC + '}')}}}]", "nodes[0].bmc: expected either"),
    "no variable": (f"nodes: [{{{entry(bmc=ENV)}}}]", "nodes[0].bmc.credentials_env: RACK_7"),
    "no file": (
        f"nodes: [{{{entry(bmc=FILE.replace('bmc.yaml', 'other.yaml'))}}}]",
        "other.yaml can't be read",
    ),
    "address": (
        f"nodes: [{{{entry(bmc=FILE.replace('https://', 'https://me:pw@'))}}}]",
        "nodes[0].bmc.address: ",
    ),
}


@pytest.mark.parametrize(("text", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UnusableInput) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Several of one node, of its board, and of the list as a whole."""
    with pytest.raises(UnusableInput) as caught:
        listed(
            tmp_path,
            entry(arch="", resource_class="5", bmc="{driver: redfish, address: x}"),
            entry(name="metal-2"),
            entry(name="metal-2", ports="['52:54:00:c0:b0:01']"),
        )
    places = [line.partition(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert places == [
        "nodes[0].resource_class",
        "nodes[0].arch is missing",
        "nodes[0].bmc.address",
        "nodes[0].bmc.system is missing",
        "name metal-2 is there twice",
        "port 52",
    ]


@pytest.mark.parametrize("content", [f"password: *{SECRET}", f"{{{SECRET}: [", f"- {SECRET}"])
def test_faults_of_credentials_do_not_quote_them(tmp_path: Path, content: str) -> None:
    text = f"nodes: [{{{entry(bmc=FILE.replace('bmc.yaml', 'own.yaml'))}}}]"
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(UnusableInput) as caught:
        read(tmp_path, text)
    assert "own.yaml" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_credentials_in_the_list_are_refused(tmp_path: Path) -> None:
    """With the way that there is, and without showing them."""
    with pytest.raises(UnusableInput) as caught:
        listed(tmp_path, entry(bmc=f"{BMC}, username: operator, password: {SECRET}}}"))
    assert "nodes[0].bmc.password: not here; credentials_file" in str(caught.value)
    assert SECRET not in str(caught.value)
