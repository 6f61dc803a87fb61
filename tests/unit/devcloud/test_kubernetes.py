"""Kubernetes' programs, and what its clusters are described by; no process is started here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from devcloud.components.magnum import recipes
from devcloud.kubernetes import build as building
from devcloud.kubernetes.build import BUILT, Build, build, built_path
from devcloud.kubernetes.programs import (
    ASSETS_VARIABLE,
    ETCD,
    SERVER,
    UnknownVersion,
    on_this_machine,
    version,
)
from devcloud.plugins.colobus_devcloud_kubernetes.folder import (
    RUNNING,
    Folder,
    Status,
    Wanted,
    end_removals,
)
from devcloud.plugins.colobus_devcloud_kubernetes.node_names import MOST_NODES, NoRoom, chosen
from devcloud.site import Site
from tests.unit.devcloud.sites import site_in


def program(folder: Path, name: str, says: str = "") -> Path:
    """Make a program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def all_of(folder: Path, says: str = "") -> dict[str, Path]:
    """Make all of Kubernetes' programs."""
    return {name: program(folder, name, says) for name in BUILT}


def test_programs_are_those_of_the_assets_first_then_of_the_path(tmp_path: Path) -> None:
    """As Kubernetes' own tests look for them."""
    assets, path = tmp_path / "assets", tmp_path / "path"
    environ = {ASSETS_VARIABLE: str(assets), "PATH": f"/nowhere:{path}"}
    assert on_this_machine(environ) == {}
    etcd, theirs = program(path, ETCD), all_of(path)
    assert on_this_machine(environ) == {ETCD: etcd, **theirs}
    own, ours = program(assets, ETCD), all_of(assets)
    assert on_this_machine(environ) == {ETCD: own, **ours}


def test_programs_of_two_places_are_never_mixed(tmp_path: Path) -> None:
    """They may be of two versions: an envtest's, which has an API server alone, and a system's."""
    assets, path, other = tmp_path / "assets", tmp_path / "path", tmp_path / "other"
    etcd, _ = program(assets, ETCD), program(assets, SERVER)
    for name in BUILT[1:]:
        program(path, name)
    environ = {ASSETS_VARIABLE: str(assets), "PATH": f"{path}:{other}"}
    assert on_this_machine(environ) == {ETCD: etcd}
    whole = all_of(other)
    assert on_this_machine(environ) == {ETCD: etcd, **whole}


def test_clusters_are_of_the_version_that_the_programs_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipes and the demo name it; what is built has one of its own."""
    site, path = site_in(tmp_path), tmp_path / "path"
    monkeypatch.delenv(ASSETS_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(path))
    assert version(site) == "1.20"
    all_of(path, "Kubernetes v1.28.11+k3s")
    assert version(site) == "1.28"
    assert recipes(version(site))["versions"][0]["version"] == "1.28"
    all_of(path, "flag provided but not defined")
    with pytest.raises(UnknownVersion, match="kube-apiserver --version says 'flag"):
        version(site)


def build_badly(self: Build) -> Path:
    """Be interrupted on the way."""
    (self._folder / "half").touch()
    raise KeyboardInterrupt


def build_well(self: Build) -> Path:
    """Build without a compiler, where nothing of an earlier attempt is."""
    assert not list(self._folder.iterdir())
    programs = self._folder / "programs"
    for name in BUILT:
        program(programs, name)
    return programs


def test_an_interrupted_build_is_begun_anew_and_a_finished_one_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder with the programs is there or not; it is never half full."""
    site: Site = site_in(tmp_path)
    site.paths.cache.mkdir()
    told: list[str] = []
    monkeypatch.setattr(building.Build, "run", build_badly)
    with pytest.raises(KeyboardInterrupt):
        build(site, told.append)
    assert not built_path(site).exists()
    monkeypatch.setattr(building.Build, "run", build_well)
    folder = build(site, told.append)
    assert {path.name for path in folder.iterdir()} == set(BUILT)
    monkeypatch.setattr(building.Build, "run", build_badly)
    assert build(site, told.append) == folder
    assert not list(site.paths.cache.glob("*.building"))


@pytest.mark.parametrize(
    ("names", "count", "unwanted", "expected"),
    [
        ([], 2, [], ["node-0", "node-1"]),
        (["node-0", "node-1"], 3, [], ["node-0", "node-1", "node-2"]),
        (["node-0", "node-1", "node-2"], 1, [], ["node-0"]),
        (["node-0", "node-1", "node-2"], 1, ["node-0", "node-2"], ["node-1"]),
        (["node-0", "node-1", "node-2"], 2, ["node-0"], ["node-1", "node-2"]),
        (["node-1"], 3, [], ["node-1", "node-0", "node-2"]),
        (["node-0"], 0, [], []),
        (["node-0"], 1, ["node-0"], ["node-0"]),  # fewer are to go than are named
    ],
)
def test_nodes_stay_by_age_unless_named_to_go(
    names: list[str], count: int, unwanted: list[str], expected: list[str]
) -> None:
    """A name is given anew only when its node is gone."""
    assert chosen(names, count, unwanted) == expected


def test_more_nodes_than_there_is_room_for_are_refused() -> None:
    """With the number that there is."""
    with pytest.raises(NoRoom, match=str(MOST_NODES)):
        chosen([], MOST_NODES + 1)


def test_a_cluster_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """A second delivery of Magnum's order changes nothing."""
    made = Folder.create(tmp_path / "c1", "ca", "key", ["node-0"])
    made.want(Wanted(["node-0", "node-1"]))
    again = Folder.create(tmp_path / "c1", "another", "another", [])
    assert again.wanted() == Wanted(["node-0", "node-1"])
    assert (again.path / "pki" / "ca.crt").read_text() == "ca"
    assert (again.path / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600


def no_credential() -> dict[str, str]:
    """Stand for a credential that must not be asked for: that ends the one in use."""
    raise AssertionError("a credential was asked for")


def test_a_cluster_that_is_there_gets_no_other_credential(tmp_path: Path) -> None:
    """It keeps its own."""
    Folder.create(tmp_path / "c1", "ca", "key", [], lambda: {"secret": "own"})
    again = Folder.create(tmp_path / "c1", "ca", "key", [], no_credential)
    assert again.login() == {"secret": "own"}


def test_what_was_half_made_is_discarded(tmp_path: Path) -> None:
    """The key of a cluster's authority must not outlive it; what is not there is no trouble."""
    with pytest.raises(AssertionError):
        Folder.create(tmp_path / "c1", "ca", "key", [], no_credential)
    assert list(tmp_path.rglob("ca.key"))
    half = Folder(tmp_path / "c1")
    assert not half.exists()
    half.discard()
    half.discard()
    assert not list(tmp_path.iterdir())


def test_a_removed_cluster_leaves_no_file(tmp_path: Path) -> None:
    """Nor a name for its remains."""
    made = Folder.create(tmp_path / "c1", "ca", "key", [])
    assert made.status() == Status()
    made.tell(Status(state=RUNNING, nodes={"node-0": "127.0.0.1"}))
    assert made.status().nodes == {"node-0": "127.0.0.1"}
    made.remove()
    assert not made.exists()
    assert not list(tmp_path.iterdir())


def test_what_was_half_removed_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are in it; a cluster that is there stays."""
    Folder.create(tmp_path / "c1", "ca", "key", [])
    gone = Folder.create(tmp_path / "c2", "ca", "key", [])
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda path: None)
        gone.remove()
    assert len(list(tmp_path.rglob("ca.key"))) == 2
    end_removals(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["c1"]
