"""The stores file: how each store's Ceph pool and iSCSI gateway are reached.

Read once, at start. Every fault names its place in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from shared.runtime.errors import ConfigurationError
from shared.runtime.tenants import Slug
from shared.runtime.yaml_files import UnreadableFile, entry_of, read_yaml

_Text = Annotated[str, Meta(min_length=1, max_length=255)]
#: A name that has none of the characters with a meaning in a backing store's path or options.
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$", description="a name of Ceph's")]
#: ``address:port``; an IPv6 address is in brackets.
Portal = Annotated[
    str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", max_length=255)
]
_Portals = Annotated[tuple[Portal, ...], Meta(min_length=1, max_length=8)]
_Url = Annotated[str, Meta(pattern=r"^https?://[^/?#]+/?$", max_length=255)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CephAccess(_Strict, frozen=True, kw_only=True):
    """A pool, and as whom to use it. ``user`` is without ``client.``."""

    conf: Path
    pool: _Name
    user: _Name = "admin"
    keyring: Path | None = None


class TgtAccess(_Strict, frozen=True, kw_only=True, tag_field="type", tag="tgt"):
    """A tgtd of this machine, with its RBD backing store.

    ``socket`` is its TGT_IPC_SOCKET, to which ``control_port`` is added. ``ceph_conf`` and
    ``ceph_user`` are what tgtd itself opens images with, where they differ from ours.
    """

    socket: Path
    portals: _Portals
    control_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    ceph_conf: Path | None = None
    ceph_user: _Name | None = None


class CephIscsiPortal(_Strict, frozen=True, kw_only=True):
    """One gateway of ceph-iscsi: its host's name, as it knows itself, and where it listens."""

    gateway: _Name
    address: Portal


class CephIscsiAccess(_Strict, frozen=True, kw_only=True, tag_field="type", tag="ceph-iscsi"):
    """The REST API of ceph-iscsi (rbd-target-api); any of ``urls`` speaks for all gateways."""

    urls: Annotated[tuple[_Url, ...], Meta(min_length=1, max_length=8)]
    username: _Text
    password_file: Path
    portals: Annotated[tuple[CephIscsiPortal, ...], Meta(min_length=1, max_length=8)]
    ca_file: Path | None = None


GatewayAccess: TypeAlias = TgtAccess | CephIscsiAccess


class StoreAccess(_Strict, frozen=True, kw_only=True):
    """One store of the file."""

    ceph: CephAccess
    gateway: GatewayAccess


class StoresError(ConfigurationError):
    """The stores file is wrong; ``faults`` has one line for each."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(faults))
        self.faults = faults


def load_stores(path: Path) -> dict[str, StoreAccess]:
    """Read the stores file: {name: how it is reached}; raises `StoresError` with every fault."""
    try:
        document = read_yaml(path)
    except UnreadableFile as error:
        raise StoresError(path, [error.fault]) from error
    if not isinstance(document, dict) or not isinstance(document.get("stores"), dict):
        raise StoresError(path, ["expected a mapping with the mapping `stores` in it"])
    faults = [f"{key}: unknown key" for key in document if key != "stores"]
    stores = {}
    for name, raw in document["stores"].items():
        entry_of(name, Slug, f"stores.{name}", faults)
        store = _store(raw, f"stores.{name}", faults)
        if store is not None:
            stores[name] = store
    faults += [] if document["stores"] else ["stores: there is none"]
    if faults:
        raise StoresError(path, faults)
    return stores


def _store(raw: Any, place: str, faults: list[str]) -> StoreAccess | None:
    """One store; its two halves are read one by one, so that the faults of both are told."""
    if not isinstance(raw, dict):
        faults.append(f"{place}: expected the mappings `ceph` and `gateway`")
        return None
    faults += [f"{place}.{key}: unknown key" for key in raw if key not in ("ceph", "gateway")]
    missing = [f"{place}.{key} is missing" for key in ("ceph", "gateway") if key not in raw]
    faults += missing
    if missing:
        return None
    ceph = entry_of(raw["ceph"], CephAccess, f"{place}.ceph", faults)
    access: Any = GatewayAccess
    gateway = entry_of(raw["gateway"], access, f"{place}.gateway", faults)
    return StoreAccess(ceph=ceph, gateway=gateway) if ceph and gateway else None
