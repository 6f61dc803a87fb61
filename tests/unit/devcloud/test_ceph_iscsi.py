"""ceph-iscsi's VM: who can reach it, and what it is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from devcloud.ceph_settings import POOL, RBD_ONLY
from devcloud.components.ceph_iscsi import (
    ENTITY,
    GUEST,
    RIGHTS,
    CephIscsi,
    ceph_settings,
    gateway_settings,
    nftables,
    password_path,
    portal_address,
)
from devcloud.environment import cloud_environment
from devcloud.ports import FIRST_BASE, LAST_BASE, SPAN, Ports
from devcloud.site import Site
from tests.unit.devcloud.sites import site_in


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path)


def _command(site: Site) -> list[str]:
    CephIscsi(site).render()
    (daemon,) = CephIscsi(site).daemons()
    return list(daemon.argv)


def test_it_is_reached_from_this_machine_alone(site: Site) -> None:
    """API and portal are forwarded from loopback addresses; nothing else is."""
    command = _command(site)
    network = command[command.index("-netdev") + 1]
    forwarded = re.findall(r"hostfwd=tcp:([^:]+):(\d+)-", network)
    assert forwarded == [
        ("127.0.0.1", str(site.ports["ceph-iscsi"])),
        (portal_address(site), "3260"),
    ]
    assert all(address.startswith("127.") for address, _ in forwarded)


def test_each_cloud_has_a_portal_of_its_own(site: Site) -> None:
    """The port is the same for all of them: ceph-iscsi knows no other."""
    bases = range(FIRST_BASE, LAST_BASE + 1, SPAN)
    addresses = {portal_address(replace(site, ports=Ports(base))) for base in bases}
    assert len(addresses) == len(bases)
    assert "127.0.0.1" not in addresses


def test_it_has_the_pool_and_little_else(site: Site) -> None:
    """In Ceph it may do what the other target may, and let a gateway in again that had died."""
    assert ceph_settings(site)[ENTITY] == {"rbd cache": False}
    assert ceph_settings(site)["global"]["mon host"] == f"[v2:127.0.0.1:{site.ports['ceph-mon']}/0]"
    assert gateway_settings(site)["config"]["cluster_client_name"] == ENTITY
    assert gateway_settings(site)["config"]["pool"] == POOL
    assert RIGHTS["osd"] == RBD_ONLY["osd"]
    assert RIGHTS["mon"].startswith(RBD_ONLY["mon"] + ",")
    _command(site)
    told = (site.paths.etc / "ceph-iscsi" / "told" / "keyring").read_text()
    assert "caps" not in told
    assert "caps mon" in (site.paths.etc / "ceph-iscsi" / "user").read_text()


def test_it_passes_on_what_it_has_for_ceph(site: Site) -> None:
    """Whose daemons are known by addresses of this machine."""
    first, last = site.ports["ceph-mon"], site.ports["ceph-osd-11"]
    rules = nftables(site)
    assert f"ip daddr 127.0.0.1 tcp dport {first}-{last} dnat to 10.0.2.2" in rules
    assert f"tcp dport 3260 dnat to {portal_address(site)}" in rules


def test_it_is_told_by_files_that_only_the_daemons_read(site: Site) -> None:
    """Also the password, which is on no command line."""
    command = _command(site)
    password = site.credentials["ceph-iscsi"]
    assert password not in " ".join(command)
    assert password_path(site).read_text().strip() == password
    files = [part.partition("file=")[2] for part in command if part.startswith("name=opt/")]
    told = {Path(file).name: Path(file) for file in files}
    assert password in told["iscsi-gateway.cfg"].read_text()
    assert told["addresses"].read_text().split()[0] == f"{GUEST}/24"
    assert {file.stat().st_mode & 0o777 for file in told.values()} == {0o600}


def test_programs_are_told_where_it_is(site: Site) -> None:
    """Once it was rendered."""
    assert "DEVCLOUD_CEPH_ISCSI_URL" not in cloud_environment(site)
    CephIscsi(site).render()
    found = cloud_environment(site)
    assert found["DEVCLOUD_CEPH_ISCSI_URL"] == f"http://127.0.0.1:{site.ports['ceph-iscsi']}"
    assert found["DEVCLOUD_CEPH_ISCSI_PORTAL"] == f"{portal_address(site)}:3260"
    assert Path(found["DEVCLOUD_CEPH_ISCSI_PASSWORD_FILE"]) == password_path(site)
