"""The operator's list of nodes, and what Ironic makes of an entry.

nodes:
- name: metal-1                   # unique; what the operator calls it
  resource_class: diskless        # what a machine's `flavor` asks for
  arch: aarch64                   # becomes the trait HW_ARCH_AARCH64
  traits: [CUSTOM_RACK_7]         # more of them, optional
  boot_mode: uefi                 # or bios
  ports: ["52:54:00:c0:b0:01"]    # MACs of the cards that boot
  bmc:
    driver: redfish               # or fake-hardware: for tests, needs nothing else
    address: https://10.0.7.1
    system: /redfish/v1/Systems/1
    ca_file: /etc/ironic/bmc.pem  # optional: a private CA, on the conductor's host
    credentials_file: bmc.yaml    # {username, password}, in a file beside this one
    # or credentials_env: BMC     # a variable that holds username:password
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from colobus.errors import UnusableInput
from colobus.nodes.yaml_entries import UnreadableFile, read_yaml, struct_of

REDFISH: Final = "redfish"
FAKE: Final = "fake-hardware"
#: Where people are tempted to write secrets.
_INLINE = frozenset({"username", "password"})

_Text = Annotated[str, Meta(min_length=1, max_length=255)]
#: Ironic's logical names (RFC 3986, "unreserved").
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,254}$", description="a name")]
#: Ironic's own bound (Bare Metal API, nodes).
_ResourceClass = Annotated[str, Meta(min_length=1, max_length=80)]
#: What follows HW_ARCH_ in os-traits.
_Arch = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$")]
_Trait = Annotated[str, Meta(pattern=r"^[A-Z0-9_]{1,255}$")]
_Mac = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
_Url = Annotated[str, Meta(pattern=r"^https?://[^/?#@]+/?$", max_length=255)]
_Path = Annotated[str, Meta(pattern=r"^/", max_length=255)]


class RedfishBoard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to switch a machine, and where the credentials for that are."""

    driver: Literal["redfish"] = REDFISH
    address: _Url
    system: _Path
    ca_file: _Path | None = None
    credentials_file: _Text | None = None
    credentials_env: _Text | None = None


class NoBoard(msgspec.Struct, frozen=True, kw_only=True):
    """Ironic's fake hardware: all that is asked of it succeeds, and nothing happens."""

    driver: Literal["fake-hardware"] = FAKE


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, but for its board."""

    name: _Name
    resource_class: _ResourceClass
    arch: _Arch
    ports: Annotated[tuple[_Mac, ...], Meta(min_length=1)]
    bmc: dict[str, Any]
    traits: tuple[_Trait, ...] = ()
    boot_mode: Literal["bios", "uefi"] = "uefi"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a board."""

    username: _Text
    password: _Text

    def __repr__(self) -> str:
        """Show whose they are, and no more."""
        return f"Login(username={self.username!r})"


@dataclass(frozen=True)
class ListedNode:
    """One node of the list, with all that Ironic has to be told."""

    entry: NodeEntry
    board: RedfishBoard | NoBoard
    login: Login | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return self.entry.name

    @property
    def traits(self) -> frozenset[str]:
        """All its traits in Ironic."""
        return frozenset({arch_trait(self.entry.arch), *self.entry.traits})

    @property
    def ports(self) -> tuple[str, ...]:
        """The addresses of its cards as Ironic writes them."""
        return tuple(address.lower() for address in self.entry.ports)

    def fields(self) -> dict[str, Any]:
        """Return the fields of Ironic's node.

        Ironic wants a ramdisk for every node that it deploys, though it boots none where the root
        is a volume: its address is never asked.
        """
        driver_info = dict.fromkeys(("deploy_kernel", "deploy_ramdisk"), "http://nowhere.invalid/")
        interfaces = {"storage_interface": "external", "network_interface": "noop"}
        if isinstance(self.board, NoBoard):
            names = ("boot", "deploy", "management", "power")
            interfaces |= {f"{name}_interface": "fake" for name in names}
        else:
            driver_info |= _driver_info(self.board, self.login)
        capabilities = f"iscsi_boot:True,boot_mode:{self.entry.boot_mode}"
        return {
            "name": self.name,
            "driver": self.board.driver,
            "resource_class": self.entry.resource_class,
            "properties": {"cpu_arch": self.entry.arch, "capabilities": capabilities},
            "driver_info": driver_info,
            **interfaces,
        }


def _driver_info(board: RedfishBoard, login: Login | None) -> dict[str, str]:
    info = {"redfish_address": board.address, "redfish_system_id": board.system}
    if board.ca_file is not None:
        info["redfish_verify_ca"] = board.ca_file
    if login is not None:
        info |= {"redfish_username": login.username, "redfish_password": login.password}
    return info


def arch_trait(arch: str) -> str:
    """Return the trait that says which programs a machine runs, as os-traits names them."""
    return f"HW_ARCH_{arch.upper()}"


def load_nodes(path: Path, environ: Mapping[str, str] = os.environ) -> list[ListedNode]:
    """Read a list of nodes; raises `UnusableInput` with all its faults, one a line."""
    faults: list[str] = []
    nodes = [
        node
        for place, raw in _entries(path, faults)
        if (node := _node(raw, place, path.parent, environ, faults)) is not None
    ]
    faults += _twice("name", ((node.name,) for node in nodes))
    faults += _twice("port", (node.ports for node in nodes))
    if faults:
        raise UnusableInput("\n".join([f"{path}: nothing was made", *faults]))
    return nodes


def _entries(path: Path, faults: list[str]) -> list[tuple[str, object]]:
    try:
        document = read_yaml(path)
    except UnreadableFile as error:
        faults.append(str(error))
        return []
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        faults.append("expected a mapping with the list `nodes` in it")
        return []
    faults += [f"{key}: unknown key" for key in document if key != "nodes"]
    faults += [] if document["nodes"] else ["nodes: there is none"]
    return [(f"nodes[{number}]", raw) for number, raw in enumerate(document["nodes"])]


def _node(
    raw: object, place: str, folder: Path, environ: Mapping[str, str], faults: list[str]
) -> ListedNode | None:
    entry = struct_of(raw, NodeEntry, place, faults)
    bmc = raw.get("bmc") if isinstance(raw, dict) else None
    if not isinstance(bmc, dict):
        return None  # which has been told
    place = f"{place}.bmc"
    if bmc.get("driver") == FAKE:
        fake = struct_of(bmc, NoBoard, place, faults)
        return ListedNode(entry, fake) if entry and fake else None
    if bmc.get("driver") != REDFISH:
        faults.append(f"{place}.driver: expected {REDFISH} or {FAKE}")
        return None
    inline = [key for key in bmc if key in _INLINE]
    for key in inline:
        faults.append(f"{place}.{key}: not here; credentials_file or credentials_env says where")
    rest = {key: value for key, value in bmc.items() if key not in _INLINE}
    board = struct_of(rest, RedfishBoard, place, faults)
    login = _login(board, place, folder, environ, faults) if board and not inline else None
    return ListedNode(entry, board, login) if entry and board and login else None


def _login(
    board: RedfishBoard,
    place: str,
    folder: Path,
    environ: Mapping[str, str],
    faults: list[str],
) -> Login | None:
    """Fetch the credentials from where the entry says. Values are never told."""
    file, variable = board.credentials_file, board.credentials_env
    if (file is None) == (variable is None):
        faults.append(f"{place}: expected either credentials_file or credentials_env")
        return None
    if file is not None:
        try:
            found = read_yaml(folder / file)
        except UnreadableFile as error:
            faults.append(f"{place}.credentials_file: {folder / file} {error.discreet}")
            return None
        return struct_of(found, Login, f"{place}.credentials_file: {folder / file}", faults)
    username, colon, password = environ.get(variable or "", "").partition(":")
    if not (username and colon and password):
        faults.append(f"{place}.credentials_env: {variable} isn't set to username:password")
        return None
    return Login(username=username, password=password)


def _twice(what: str, of_nodes: Iterable[tuple[str, ...]]) -> list[str]:
    values = [value for values in of_nodes for value in values]
    return [f"{what} {one} is there twice" for one in sorted(set(values)) if values.count(one) > 1]
