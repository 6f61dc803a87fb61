"""The tenants file: who may use this installation, as which project, and how much.

Read once, at start. Every fault names its place in the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.contract.resources import Placement, Sort
from shared.runtime.errors import ConfigurationError
from shared.runtime.yaml_files import UnreadableFile, entry_of, read_yaml

_SLUG = r"^[a-z0-9-]{1,32}$"
Slug = Annotated[str, Meta(pattern=_SLUG)]
#: What messages name as their tenant that are about several, or about none.
NOBODY = "colobus"
_Text = Annotated[str, Meta(min_length=1, max_length=255)]
Role = Literal["reader", "member"]
Arch = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$")]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Token(_Strict, frozen=True, kw_only=True):
    """A static bearer token, known by its SHA-256 only. A reader may look, a member may do."""

    name: _Text
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    role: Role = "member"


class Cloud(_Strict, frozen=True, kw_only=True):
    """What the operator says of a cloud: its architectures, in Nova's words (``aarch64``)."""

    archs: tuple[Arch, ...] = ()


class Store(_Strict, frozen=True, kw_only=True):
    """A Ceph pool with its iSCSI gateway; the iscsi_worker's stores file says how to reach it."""


class Metal(_Strict, frozen=True, kw_only=True):
    """The bare metal of one Ironic; the baremetal_worker's metals file says how to reach it.

    Its machines boot from ``store``; their ports are on ``cloud``: without one they have none.
    """

    store: Slug
    cloud: _Text | None = None
    archs: tuple[Arch, ...] = ()


class _TenantEntry(_Strict, frozen=True, kw_only=True):
    projects: Annotated[dict[_Text, _Text], Meta(min_length=1)]
    broker_user: _Text | None = None
    tokens: tuple[Token, ...] = ()
    quota: dict[Annotated[str, Meta(pattern=r"^[a-z_]{1,32}$")], Annotated[int, Meta(ge=0)]] = {}
    weight: Annotated[float, Meta(gt=0, le=1000)] = 1
    apps_anywhere: bool = False


class Tenant(_TenantEntry, frozen=True, kw_only=True):
    """Who may hold things. ``projects`` is {cloud name in clouds.yaml: Keystone project id}.

    ``quota`` is {plural of kind or ``floating_ips``: amount}; ``weight`` its share when all wait.
    ``apps_anywhere``: its apps may have objects outside of their own namespaces, on its clusters.
    """

    name: Slug


def is_tenant(name: str) -> bool:
    """Tell whether a tenant could have this name (not whether there is one), or it is `NOBODY`."""
    return re.fullmatch(_SLUG, name) is not None


class TenantsError(ConfigurationError):
    """The tenants file is wrong; ``faults`` has one line for each."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(faults))
        self.faults = faults


class Tenants:
    """All tenants, found by whatever names them."""

    def __init__(
        self,
        tenants: dict[str, Tenant],
        clouds: dict[str, Cloud] | None = None,
        stores: dict[str, Store] | None = None,
        metals: dict[str, Metal] | None = None,
    ) -> None:
        self._by_name = tenants
        self._clouds = clouds or {}
        self._stores = stores or {}
        self._metals = metals or {}
        self._by_project = {item: t for t in self for item in t.projects.items()}
        self._by_user = {t.broker_user: t for t in self if t.broker_user is not None}
        self._tokens = {bytes.fromhex(k.sha256): (t, k) for t in self for k in t.tokens}

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self._by_name.values())

    def by_name(self, name: str) -> Tenant | None:
        """Return the tenant of this name."""
        return self._by_name.get(name)

    def by_project(self, cloud: str, project_id: str) -> Tenant | None:
        """Return the tenant that this Keystone project of ``cloud`` is."""
        return self._by_project.get((cloud, project_id))

    def by_broker_user(self, user: str) -> Tenant | None:
        """Return the tenant that publishes as this broker user."""
        return self._by_user.get(user)

    def by_token(self, token: str) -> tuple[Tenant, Token] | None:
        """Return whose static token this is.

        The time taken tells something of its digest at most, and nobody can choose that.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        return self._tokens.get(digest)

    def archs(self, place: str) -> frozenset[str]:
        """Return the architectures that this cloud or metal was said to have."""
        known: Mapping[str, Cloud | Metal] = {**self._clouds, **self._metals}
        return frozenset(known[place].archs if place in known else ())

    @property
    def clouds(self) -> tuple[str, ...]:
        """The clouds on which some tenant has a project."""
        return tuple(dict.fromkeys(cloud for tenant in self for cloud in tenant.projects))

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores; they are for all tenants."""
        return tuple(self._stores)

    @property
    def metals(self) -> tuple[str, ...]:
        """The metals; they are for all tenants that have a project on their cloud."""
        return tuple(self._metals)

    def places(self, sort: Sort, tenant: Tenant | None = None) -> tuple[str, ...]:
        """Return the places of a sort: all, or those that the tenant may have something on."""
        if sort is Sort.STORE:
            return self.stores
        if sort is Sort.CLOUD:
            return self.clouds if tenant is None else tuple(tenant.projects)
        return tuple(
            name
            for name, metal in self._metals.items()
            if tenant is None or metal.cloud is None or metal.cloud in tenant.projects
        )

    def placements(self) -> dict[str, Placement]:
        """Return what a resource gets that is placed there: {place: its placement}."""
        found = {name: Placement(cloud=name) for name in self.clouds}
        found |= {name: Placement(store=name) for name in self.stores}
        return found | {
            name: Placement(metal=name, store=metal.store, cloud=metal.cloud)
            for name, metal in self._metals.items()
        }


def load_tenants(path: Path) -> Tenants:
    """Read the tenants file; raises `TenantsError` with every fault and its place."""
    try:
        document = read_yaml(path)
    except UnreadableFile as error:
        raise TenantsError(path, [error.fault]) from error
    faults: list[str] = []
    if not isinstance(document, dict) or not isinstance(document.get("tenants"), dict):
        raise TenantsError(path, ["expected a mapping with the mapping `tenants` in it"])
    for unknown in document.keys() - {"tenants", "clouds", "stores", "metals"}:
        faults.append(f"{unknown}: unknown key")
    clouds = entry_of(document.get("clouds") or {}, dict[_Text, Cloud], "clouds", faults)
    stores = entry_of(document.get("stores") or {}, dict[Slug, Store], "stores", faults)
    metals = entry_of(document.get("metals") or {}, dict[Slug, Metal], "metals", faults)
    tenants = {}
    for name, raw in document["tenants"].items():
        slug = entry_of(name, Slug, f"tenants.{name}", faults)
        entry = entry_of(raw, _TenantEntry, f"tenants.{name}", faults)
        if slug is not None and entry is not None:
            tenants[slug] = Tenant(name=slug, **msgspec.structs.asdict(entry))
    if NOBODY in tenants:
        faults.append(f"tenants.{NOBODY}: the name is Colobus' own")
    faults += _shared_keys(tenants)
    known = {cloud for tenant in tenants.values() for cloud in tenant.projects}
    unused = (clouds or {}).keys() - known
    faults += [f"clouds.{one}: no tenant has a project there" for one in sorted(unused)]
    faults += _places(known, stores or {}, metals or {})
    if faults or clouds is None or stores is None or metals is None:
        raise TenantsError(path, faults)
    return Tenants(tenants, clouds, stores, metals)


def _places(clouds: set[str], stores: dict[str, Store], metals: dict[str, Metal]) -> Iterator[str]:
    """Faults of what places are called, and of what a metal refers to."""
    for one in sorted(clouds & stores.keys()):
        yield f"stores.{one}: a cloud has that name"
    for one in sorted(metals.keys() & (clouds | stores.keys())):
        yield f"metals.{one}: a cloud or store has that name"
    for name, metal in metals.items():
        if metal.store not in stores:
            yield f"metals.{name}.store: there is no store {metal.store!r}"
        if metal.cloud is not None and metal.cloud not in clouds:
            yield f"metals.{name}.cloud: no tenant has a project on {metal.cloud!r}"


def _shared_keys(tenants: dict[str, Tenant]) -> list[str]:
    """Faults for whatever names two tenants: a project, a broker user, a token."""
    owners: dict[tuple[str, ...], str] = {}
    faults = []
    for tenant in tenants.values():
        keys = [("project", f"{cloud}/{project}") for cloud, project in tenant.projects.items()]
        keys += [("broker_user", tenant.broker_user)] if tenant.broker_user else []
        keys += [("token", token.sha256) for token in tenant.tokens]
        for key in keys:
            other = owners.setdefault(key, tenant.name)
            what = key[0] if key[0] == "token" else " ".join(key)
            if other is not tenant.name or keys.count(key) > 1:
                faults.append(f"tenants.{tenant.name}: {what} is already that of {other}")
    return faults
