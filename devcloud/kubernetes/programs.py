"""Kubernetes' programs: those of this machine, else those of the cache, built once (`build`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from devcloud.kubernetes.build import BUILT, built_path
from devcloud.site import Site

ETCD = "etcd"
PROGRAMS = (ETCD, *BUILT)
#: Where Kubernetes' own tests, and those of its controllers, look for a control plane.
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


def on_this_machine(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Return the programs of `KUBEBUILDER_ASSETS`, else of PATH, by name; those that are there."""
    env = os.environ if environ is None else environ
    places = [env.get(ASSETS_VARIABLE), env.get("PATH", os.defpath)]
    path = os.pathsep.join(place for place in places if place)
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    return {name: Path(where) for name, where in found.items() if where is not None}


def programs(site: Site) -> dict[str, Path] | None:
    """Return all programs by name, or None while some are not there.

    Those of Kubernetes are all the machine's or all the cache's: they must be of one version, and
    a machine seldom has kubemark.
    """
    own = on_this_machine()
    if ETCD not in own:
        return None
    if all(name in own for name in BUILT):
        return own
    folder = built_path(site)
    return {**{name: folder / name for name in BUILT}, ETCD: own[ETCD]} if folder.is_dir() else None
