"""Kubernetes' programs: those of this machine, else those of the cache, built once (`build`)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devcloud.kubernetes.build import BUILT, VERSION, built_path
from devcloud.site import Site

ETCD, SERVER = "etcd", "kube-apiserver"
#: Where Kubernetes' own tests, and those of its controllers, look for a control plane.
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
#: "Kubernetes v1.20.2", and what requests for clusters name of it.
_VERSION = re.compile(r"v?(?P<minor>\d+\.\d+)\.\d+")


class UnknownVersion(RuntimeError):
    """A program does not say of which version it is."""


def on_this_machine(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Return the machine's own programs by name: etcd, if any, and all of Kubernetes' or none.

    They are looked for in the folder of `KUBEBUILDER_ASSETS`, then in those of PATH. Kubernetes'
    are of one folder: two places may have two versions, which do not belong together.
    """
    env = os.environ if environ is None else environ
    places = [env.get(ASSETS_VARIABLE, ""), *env.get("PATH", os.defpath).split(os.pathsep)]
    folders = [place for place in places if place]
    wholes = (_found(BUILT, [one]) for one in folders)
    whole = next((one for one in wholes if len(one) == len(BUILT)), {})
    return {**whole, **_found([ETCD], folders)}


def _found(names: Sequence[str], folders: Iterable[str]) -> dict[str, Path]:
    path = os.pathsep.join(folders)
    found = {name: shutil.which(name, path=path) for name in names}
    return {name: Path(where) for name, where in found.items() if where is not None}


def programs(site: Site) -> dict[str, Path] | None:
    """Return all programs by name, or None while some are not there.

    Those of Kubernetes are all the machine's or all the cache's: they must be of one version, and
    a machine seldom has kubemark.
    """
    own = on_this_machine()
    if ETCD not in own:
        return None
    if SERVER in own:
        return own
    folder = built_path(site)
    return {**{name: folder / name for name in BUILT}, ETCD: own[ETCD]} if folder.is_dir() else None


def version(site: Site) -> str:
    """Return what clusters are made of, such as "1.20": what is built, where nothing is there yet.

    Raises `UnknownVersion` where the machine's own API server does not say.
    """
    server = on_this_machine().get(SERVER)
    said = VERSION if server is None else site.tools.read([str(server), "--version"])
    match = _VERSION.search(said)
    if match is None:
        raise UnknownVersion(f"{server} --version says {said.strip()!r}")
    return match["minor"]
