"""What Colobus' parts are told in a developer cloud, and when they are started anew."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from devcloud.components.colobus import METAL, STORE, ColobusInstall
from devcloud.components.colobus_services import BaremetalWorker, IscsiWorker, Process
from devcloud.components.tgt import portals_path
from devcloud.site import Site
from devcloud.tenants import BARE_METAL_CLOUD, CLOUD, CLOUDS, clouds_yaml
from shared.runtime.tenants import load_tenants
from tests.unit.devcloud.sites import site_in


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = site_in(tmp_path)
    (made.paths.state / "colobus").mkdir()
    projects = {cloud: f"p-{cloud}" for cloud in CLOUDS}
    made.paths.tenants_json.write_text(json.dumps({"bigtop": {"projects": projects}}))
    made.paths.clouds_yaml.write_text(clouds_yaml(made, {"alice": "bigtop"}))
    return made


class Told(Process):
    """A process with one file among its settings."""

    name = "told"
    sources = ()

    def environment(self) -> dict[str, str]:
        return {"COLOBUS_STORES_FILE": str(self.folder / "stores.yaml")}

    def wanted(self) -> str:
        return self._fingerprint(self.environment())


def test_bare_metal_is_told_of_once_it_is_part_of_the_cloud(site: Site, tmp_path: Path) -> None:
    """Its list of machines is there then; the file is one that services read."""
    install, file = ColobusInstall(site), tmp_path / "tenants.yaml"
    file.write_text(yaml.safe_dump(install._tenants()))
    assert load_tenants(file).metals == ()
    before = install._wanted()
    site.paths.nodes_yaml.write_text("nodes: []")
    assert install._wanted() != before
    file.write_text(yaml.safe_dump(install._tenants()))
    placement = load_tenants(file).placements()[METAL]
    assert (placement.store, placement.cloud) == (STORE, CLOUD)


def test_a_service_is_started_anew_when_a_file_that_it_reads_has_changed(site: Site) -> None:
    """Their paths stay the same, and they are read once."""
    process = Told(site)
    none = process.wanted()
    (process.folder / "stores.yaml").write_text("one")
    one = process.wanted()
    assert process.wanted() == one
    (process.folder / "stores.yaml").write_text("another")
    assert len({none, one, process.wanted()}) == 3


def test_the_store_names_the_machines_portal_first(site: Site) -> None:
    """A machine takes the first, and can't reach loopback."""
    portals_path(site).parent.mkdir()
    portals_path(site).write_text("127.0.0.2:3260\n")
    worker = IscsiWorker(site)
    worker.render()
    stores = yaml.safe_load((worker.folder / "stores.yaml").read_text())["stores"]
    assert stores[STORE]["gateway"]["portals"][0] == "127.0.0.2:3260"


def test_the_baremetal_worker_is_told_of_ironic_alone(site: Site) -> None:
    """No other cloud's password is in its file, which nobody else can read."""
    worker = BaremetalWorker(site)
    worker.render()
    settings = worker.own_settings()
    metals = yaml.safe_load(Path(settings["COLOBUS_METALS_FILE"]).read_text())
    assert metals == {"metals": {METAL: {"cloud": BARE_METAL_CLOUD}}}
    clouds = Path(settings["COLOBUS_CLOUDS_FILE"])
    (known,) = yaml.safe_load(clouds.read_text())["clouds"].items()
    assert known[0] == BARE_METAL_CLOUD
    assert known[1]["auth"]["password"] == site.credentials["colobus-bare-metal"]
    found = clouds.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())
