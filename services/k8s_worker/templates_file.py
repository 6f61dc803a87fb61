"""The operator's file of what clusters are made of: one entry for each version of Kubernetes.

Read once, at start. Every fault names its place in the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.k8s_worker.checks import NAME, TARGET, label_of
from shared.contract.kinds import CloudName, KubernetesVersion
from shared.runtime.errors import ConfigurationError
from shared.runtime.tenants import Slug
from shared.runtime.yaml_files import UnreadableFile, entry_of, read_yaml

CheckName = Annotated[str, Meta(pattern=f"^{NAME}$", max_length=63)]
CheckTarget = Annotated[str, Meta(pattern=TARGET)]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cluster template is made of, all in Magnum's words but ``version`` and ``cloud``.

    ``flavor`` is that of workers where a request names none. ``arch``: what requests for that
    architecture get; ``cloud``: for that cloud alone. ``checks`` are what a cluster must have
    besides its nodes to be active, {name: "Service kube-system/kube-dns"} (also a Deployment or a
    DaemonSet). ``settings`` go into the template as they are (``dns_nameserver``,
    ``master_lb_enabled``, …).
    """

    version: KubernetesVersion
    image: CloudName
    flavor: CloudName
    external_network: CloudName
    master_flavor: CloudName | None = None
    master_count: Annotated[int, Meta(ge=1, le=15)] = 1
    arch: str | None = None
    cloud: Slug | None = None
    labels: dict[str, str] = {}
    checks: dict[CheckName, CheckTarget] = {}
    settings: dict[str, Any] = {}

    def body(self, flavor: str) -> dict[str, Any]:
        """Return the template as Magnum takes it, but for its name."""
        return {
            "coe": "kubernetes",
            "image_id": self.image,
            "flavor_id": flavor,
            "master_flavor_id": self.master_flavor or self.flavor,
            "external_network_id": self.external_network,
            **self.settings,
            "labels": {**self.labels, **label_of(self.checks)},
        }

    def name(self, installation: str, flavor: str) -> str:
        """Return the template's name: another recipe has another one."""
        words = msgspec.json.encode(self.body(flavor), order="sorted")
        digest = hashlib.sha256(words).hexdigest()[:10]
        return "-".join(["colobus", installation, self.version, self.arch or "any", flavor, digest])


class RecipesError(ConfigurationError):
    """The file is wrong; ``faults`` has one line for each."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(faults))
        self.faults = faults


def load_recipes(path: Path | None) -> tuple[Recipe, ...]:
    """Read the file, in its order; raises `RecipesError` with every fault. None: there is none."""
    if path is None:
        return ()
    try:
        document = read_yaml(path)
    except UnreadableFile as error:
        raise RecipesError(path, [error.fault]) from error
    if not isinstance(document, dict) or not isinstance(document.get("versions"), list):
        raise RecipesError(path, ["expected a mapping with the list `versions` in it"])
    faults = [f"{key}: unknown key" for key in document if key != "versions"]
    found = [
        entry_of(raw, Recipe, f"versions[{number}]", faults)
        for number, raw in enumerate(document["versions"])
    ]
    if faults:
        raise RecipesError(path, faults)
    return tuple(one for one in found if one is not None)
