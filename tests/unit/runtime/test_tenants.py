"""The tenants file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from shared.contract.resources import Placement, Sort
from shared.runtime.tenants import Tenants, TenantsError, load_tenants

TOKEN = "t0p-s3cret"
SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()
GOOD = f"""
tenants:
  bigtop:
    projects: {{devcloud: p1, other: p2}}
    broker_user: ci-bigtop
    tokens: [{{name: demo, sha256: {SHA256}, role: reader}}]
    quota: {{vms: 20, floating_ips: 10}}
    weight: 2
    apps_anywhere: true
  ambari:
    projects: {{devcloud: p2}}
"""


def load_text(tmp_path: Path, text: str) -> Tenants:
    """Load a file with this text."""
    path = tmp_path / "tenants.yaml"
    path.write_text(text)
    return load_tenants(path)


@pytest.fixture
def tenants(tmp_path: Path) -> Tenants:
    """The good file."""
    return load_text(tmp_path, GOOD)


def test_a_tenant_has_what_the_file_says(tenants: Tenants) -> None:
    """Everything is there, with defaults for what isn't said."""
    bigtop, ambari = tenants
    assert (bigtop.name, bigtop.quota, bigtop.weight) == (
        "bigtop",
        {"vms": 20, "floating_ips": 10},
        2,
    )
    assert (bigtop.apps_anywhere, ambari.apps_anywhere) == (True, False)
    assert (ambari.broker_user, ambari.tokens, ambari.quota, ambari.weight) == (None, (), {}, 1)


def test_a_tenant_is_found_by_whatever_names_it(tenants: Tenants) -> None:
    """Name, project of a cloud, broker user."""
    bigtop, ambari = tenants
    assert tenants.by_name("bigtop") is bigtop
    assert tenants.by_project("devcloud", "p1") is bigtop
    assert tenants.by_project("other", "p2") is bigtop
    assert tenants.by_project("devcloud", "p2") is ambari
    assert tenants.by_broker_user("ci-bigtop") is bigtop


def test_what_names_nobody_finds_nobody(tenants: Tenants) -> None:
    """No default, no prefix, no other cloud's project."""
    assert tenants.by_name("big") is None
    assert tenants.by_project("other", "p1") is None
    assert tenants.by_broker_user("") is None
    assert tenants.by_token(SHA256) is None
    assert tenants.by_token("") is None


def test_a_token_finds_its_tenant_and_role(tenants: Tenants) -> None:
    """The file knows the hash only."""
    found = tenants.by_token(TOKEN)
    assert found is not None
    tenant, token = found
    assert (tenant.name, token.name, token.role) == ("bigtop", "demo", "reader")


ONE = "tenants: {one: {projects: {devcloud: p1}, broker_user: u}, two: "

FAULTS = {
    "not YAML": ("tenants: [", "expected"),
    "no mapping": ("- a", "tenants"),
    "unknown key": ("tenant: {}\ntenants: {}", "tenant: unknown key"),
    "bad slug": ("tenants: {Big_Top: {projects: {a: b}}}", "tenants.Big_Top"),
    "no project": ("tenants: {one: {projects: {}}}", "tenants.one.projects"),
    "misspelt field": ("tenants: {one: {projects: {a: b}, wieght: 1}}", "wieght"),
    "hash is none": (
        "tenants: {one: {projects: {a: b}, tokens: [{name: x, sha256: abc}]}}",
        "tenants.one.tokens[0].sha256",
    ),
    "unknown role": (
        "tenants: {one: {projects: {a: b},"
        f" tokens: [{{name: x, sha256: {SHA256}, role: god}}]}}}}",
        "tenants.one.tokens[0].role",
    ),
    "negative quota": ("tenants: {one: {projects: {a: b}, quota: {vms: -1}}}", "tenants.one.quota"),
    "no weight": ("tenants: {one: {projects: {a: b}, weight: 0}}", "tenants.one.weight"),
    "nothing said": ("tenants: {one: }", "tenants.one"),
    "project shared": (ONE + "{projects: {devcloud: p1}}}", "tenants.two: project devcloud/p1"),
    "user shared": (ONE + "{projects: {a: b}, broker_user: u}}", "tenants.two: broker_user u"),
    "written twice": ("tenants:\n  a: {projects: {a: b}}\n  a: {projects: {a: c}}", "twice"),
    "a name of ours": ("tenants: {colobus: {projects: {a: b}}}", "tenants.colobus: the name"),
    "nobody has more rights": (
        "operators: {projects: {a: [b]}}\ntenants: {}",
        "operators: unknown key",
    ),
}


@pytest.mark.parametrize(("text", "place"), FAULTS.values(), ids=FAULTS)
def test_a_fault_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    """The operator reads where the mistake is."""
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, text)
    assert place in str(raised.value)


def test_faults_of_several_tenants_are_told_together(tmp_path: Path) -> None:
    """One round of mending."""
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, "tenants: {a: {}, b: {projects: 5}}")
    assert len(raised.value.faults) == 2


def test_a_token_shared_by_two_is_refused_without_showing_it(tmp_path: Path) -> None:
    """A token has one owner; its hash is nobody's business."""
    entry = f"tokens: [{{name: x, sha256: {SHA256}}}]"
    text = f"tenants: {{a: {{projects: {{a: b}}, {entry}}}, b: {{projects: {{a: c}}, {entry}}}}}"
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, text)
    assert "token" in str(raised.value)
    assert SHA256 not in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(TenantsError, match="nowhere"):
        load_tenants(tmp_path / "nowhere")


def test_the_architectures_of_a_cloud_are_declared(tmp_path: Path) -> None:
    """What isn't said isn't known."""
    tenants = load_text(tmp_path, GOOD + "clouds: {devcloud: {archs: [aarch64, x86_64]}}\n")
    assert tenants.archs("devcloud") == {"aarch64", "x86_64"}
    assert tenants.archs("other") == frozenset()


def test_faults_among_the_clouds_are_named(tmp_path: Path) -> None:
    """A cloud that no tenant uses is a slip of the pen, and so is an unknown word."""
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, GOOD + "clouds: {devclod: {archs: [x86_64]}}\n")
    assert raised.value.faults == ["clouds.devclod: no tenant has a project there"]
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, GOOD + "clouds: {devcloud: {archs: [X86]}}\n")
    (fault,) = raised.value.faults
    assert fault.startswith("clouds")
    assert "archs[0]" in fault


PLACES = "stores: {rack: {}}\nmetals: {lab: {store: rack, cloud: devcloud, archs: [aarch64]}}\n"


def test_a_metal_is_a_place_with_a_store_and_a_network(tmp_path: Path) -> None:
    """What is put there is in all three; who has no project on its cloud can't have it."""
    tenants = load_text(tmp_path, GOOD.replace("devcloud: p2", "third: p2") + PLACES)
    bigtop, ambari = tenants
    assert tenants.places(Sort.METAL) == ("lab",)
    assert tenants.places(Sort.METAL, bigtop) == ("lab",)
    assert tenants.places(Sort.METAL, ambari) == ()
    assert tenants.places(Sort.STORE, ambari) == ("rack",)
    assert tenants.places(Sort.CLOUD, ambari) == ("third",)
    assert tenants.archs("lab") == {"aarch64"}
    placements = tenants.placements()
    assert placements["lab"] == Placement(metal="lab", store="rack", cloud="devcloud")
    assert set(placements["lab"].places) == {"lab", "rack", "devcloud"}
    assert {name: one.place for name, one in placements.items()} == {n: n for n in placements}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stores: {devcloud: {}}", "stores.devcloud: a cloud has that name"),
        (
            "stores: {rack: {}}\nmetals: {rack: {store: rack}}",
            "metals.rack: a cloud or store has that name",
        ),
        ("metals: {lab: {store: rack}}", "metals.lab.store: there is no store 'rack'"),
        (
            "stores: {rack: {}}\nmetals: {lab: {store: rack, cloud: moon}}",
            "metals.lab.cloud: no tenant has a project on 'moon'",
        ),
    ],
)
def test_faults_among_places_are_named(tmp_path: Path, text: str, fault: str) -> None:
    """Names are of one place each, and what a metal refers to is there."""
    with pytest.raises(TenantsError) as raised:
        load_text(tmp_path, f"{GOOD}{text}\n")
    assert raised.value.faults == [fault]
