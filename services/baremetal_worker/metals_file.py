"""The metals file: which cloud of clouds.yaml each metal's Ironic is, and what its flavors are.

Read once, at start. Every fault names its place in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.runtime.errors import ConfigurationError
from shared.runtime.tenants import Slug
from shared.runtime.yaml_files import UnreadableFile, entry_of, read_yaml

_Text = Annotated[str, Meta(min_length=1, max_length=255)]
#: Ironic's own bound of a node's ``resource_class`` (Bare Metal API).
_ResourceClass = Annotated[str, Meta(min_length=1, max_length=80)]
#: One of os-traits, or an operator's own (Bare Metal API, node traits).
_Trait = Annotated[
    str, Meta(pattern=r"^[A-Z0-9_]{1,255}$", description="a trait: capitals, digits and '_'")
]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Flavor(_Strict, frozen=True, kw_only=True):
    """What nodes a flavor means: those of a resource class that have all the traits."""

    resource_class: _ResourceClass
    traits: tuple[_Trait, ...] = ()


class MetalAccess(_Strict, frozen=True, kw_only=True):
    """One metal of the file. ``flavors`` of None: a flavor's name is the resource class."""

    cloud: _Text
    flavors: dict[_Text, Flavor] | None = None

    def flavor(self, name: str) -> Flavor | None:
        """Return what a flavor means; None where there is none of that name."""
        if self.flavors is None:
            return Flavor(resource_class=name)
        return self.flavors.get(name)


class MetalsError(ConfigurationError):
    """The metals file is wrong; ``faults`` has one line for each."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(faults))
        self.faults = faults


def load_metals(path: Path) -> dict[str, MetalAccess]:
    """Read the metals file: {name: what it is}; raises `MetalsError` with every fault."""
    try:
        document = read_yaml(path)
    except UnreadableFile as error:
        raise MetalsError(path, [error.fault]) from error
    if not isinstance(document, dict) or not isinstance(document.get("metals"), dict):
        raise MetalsError(path, ["expected a mapping with the mapping `metals` in it"])
    faults = [f"{key}: unknown key" for key in document if key != "metals"]
    metals = {}
    for name, raw in document["metals"].items():
        entry_of(name, Slug, f"metals.{name}", faults)
        metal = entry_of(raw, MetalAccess, f"metals.{name}", faults)
        if metal is not None:
            metals[name] = metal
    faults += [] if document["metals"] else ["metals: there is none"]
    if faults:
        raise MetalsError(path, faults)
    return metals
