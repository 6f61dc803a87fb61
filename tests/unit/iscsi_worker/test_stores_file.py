"""The stores file: strict, and every fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.iscsi_worker.stores_file import CephIscsiAccess, StoresError, TgtAccess, load_stores

GOOD = """
stores:
  one:
    ceph: {conf: /etc/ceph/ceph.conf, pool: colobus, user: iscsi, keyring: /etc/ceph/k}
    gateway: {type: tgt, socket: /run/tgt, portals: ["10.0.0.1:3260", "[::1]:3260"]}
  two:
    ceph: {conf: /etc/ceph/two.conf, pool: volumes}
    gateway:
      type: ceph-iscsi
      urls: ["https://gw1:5000", "https://gw2:5000/"]
      username: admin
      password_file: /etc/colobus/gateway
      portals:
        - {gateway: gw1.test, address: "10.0.0.2:3260"}
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "stores.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """With what may be left out."""
    stores = load_stores(_file(tmp_path, GOOD))
    assert list(stores) == ["one", "two"]
    one, two = stores["one"].gateway, stores["two"].gateway
    assert isinstance(one, TgtAccess)
    assert (one.portals, one.control_port) == (("10.0.0.1:3260", "[::1]:3260"), 0)
    assert isinstance(two, CephIscsiAccess)
    assert two.portals[0].gateway == "gw1.test"
    assert (stores["two"].ceph.user, stores["two"].ceph.keyring) == ("admin", None)
    assert stores["one"].ceph.conf == Path("/etc/ceph/ceph.conf")


CEPH = "ceph: {conf: /c, pool: p}"
TGT = "gateway: {type: tgt, socket: /s, portals: ['a:1']}"
FAULTS = {
    "not a mapping": ("[]", "expected a mapping"),
    "no stores": ("stores: {}", "stores: there is none"),
    "unknown key": (f"x: 1\nstores: {{a: {{{CEPH}, {TGT}}}}}", "x: unknown key"),
    "not a slug": (f"stores: {{A_b: {{{CEPH}, {TGT}}}}}", "stores.A_b"),
    "store unknown key": (f"stores: {{a: {{{CEPH}, {TGT}, z: 1}}}}", "stores.a.z: unknown key"),
    "no gateway": (f"stores: {{a: {{{CEPH}}}}}", "stores.a.gateway is missing"),
    "no ceph": (f"stores: {{a: {{{TGT}}}}}", "stores.a.ceph is missing"),
    "not a store": ("stores: {a: 5}", "stores.a: expected"),
    "no pool": (f"stores: {{a: {{ceph: {{conf: /c}}, {TGT}}}}}", "stores.a.ceph: "),
    "bad pool": (f"stores: {{a: {{ceph: {{conf: /c, pool: 'a/b'}}, {TGT}}}}}", "a.ceph.pool"),
    "bad path": (f"stores: {{a: {{ceph: {{conf: 5, pool: p}}, {TGT}}}}}", "a.ceph.conf"),
    "unknown type": (f"stores: {{a: {{{CEPH}, gateway: {{type: lio}}}}}}", "stores.a.gateway"),
    "no portals": (
        f"stores: {{a: {{{CEPH}, gateway: {{type: tgt, socket: /s, portals: []}}}}}}",
        "stores.a.gateway.portals",
    ),
    "portal without port": (
        f"stores: {{a: {{{CEPH}, gateway: {{type: tgt, socket: /s, portals: [a]}}}}}}",
        "stores.a.gateway.portals",
    ),
    "twice": (f"stores:\n  a: {{{CEPH}, {TGT}}}\n  a: {{{CEPH}, {TGT}}}", "written twice"),
    "no yaml": ("stores: [", "stores.yaml: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_place(tmp_path: Path, name: str) -> None:
    """One line for each."""
    text, expected = FAULTS[name]
    with pytest.raises(StoresError) as told:
        load_stores(_file(tmp_path, text))
    assert expected in str(told.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Of both halves of every store."""
    text = "stores: {a: {ceph: {pool: p}, gateway: {type: tgt}}, b: {ceph: {}, gateway: {}}}"
    with pytest.raises(StoresError) as told:
        load_stores(_file(tmp_path, text))
    assert len(told.value.faults) == 4


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(StoresError, match=r"nowhere.*cannot be read"):
        load_stores(tmp_path / "nowhere")
