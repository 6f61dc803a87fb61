"""The order in which components come up and go down."""

from __future__ import annotations

import threading

import pytest

from devcloud.components import COMPONENTS
from devcloud.graph import RequirementFailed, UnknownName, closure, reverse, run_graph

REQUIRES = {"database": (), "broker": (), "api": ("database", "broker"), "catalog": ("api",)}


def test_everything_required_is_brought_up_too() -> None:
    """Asking for one component asks for all it stands on, and for nothing else."""
    assert closure(["api"], REQUIRES) == {"api", "database", "broker"}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A typing error tells what could have been meant."""
    with pytest.raises(UnknownName, match="database, broker, api, catalog"):
        closure(["apo"], REQUIRES)


def test_work_begins_only_after_all_its_requirements() -> None:
    """Whatever runs side by side, nothing overtakes what it requires."""
    done: list[str] = []

    def work(name: str) -> None:
        assert set(REQUIRES[name]) <= set(done)
        done.append(name)

    assert run_graph(REQUIRES, work, cancel=lambda: None) == {}
    assert sorted(done) == sorted(REQUIRES)


def test_independent_work_runs_side_by_side() -> None:
    """Two components that don't need each other are started at the same time."""
    meeting = threading.Barrier(2)
    requires: dict[str, tuple[str, ...]] = {"database": (), "broker": ()}

    def work(_: str) -> None:
        meeting.wait(5)

    assert run_graph(requires, work, cancel=lambda: None) == {}


def test_what_needs_a_failed_component_is_not_tried() -> None:
    """The failure is reported once with its cause; its dependants say whom they lacked."""

    def work(name: str) -> None:
        if name == "broker":
            raise OSError("no room")

    failures = run_graph(REQUIRES, work, cancel=lambda: None)
    assert isinstance(failures["broker"], OSError)
    assert isinstance(failures["api"], RequirementFailed)
    assert isinstance(failures["catalog"], RequirementFailed)
    assert "database" not in failures


def test_stopping_waits_for_those_who_need_it() -> None:
    """Down is up in reverse."""
    assert reverse(REQUIRES) == {
        "database": {"api"},
        "broker": {"api"},
        "api": {"catalog"},
        "catalog": set(),
    }


def test_the_table_of_components_is_complete_and_without_circles() -> None:
    """Every name that a component requires, wants or comes after exists, and an order exists."""
    needs = {c.name: (*c.requires, *c.wants, *c.after) for c in COMPONENTS}
    assert len(needs) == len(COMPONENTS)
    assert closure(list(needs), needs) == set(needs)
    assert run_graph(needs, lambda _: None, cancel=lambda: None) == {}


def test_the_quick_tests_need_no_openstack() -> None:
    """Colobus' broker and database stand alone."""
    needs = {c.name: (*c.requires, *c.wants) for c in COMPONENTS}
    assert closure(["rabbitmq", "postgresql"], needs) == {"rabbitmq", "postgresql"}


def test_ceph_and_tgt_come_up_alone() -> None:
    """Volumes need nothing of OpenStack or Colobus."""
    needs = {c.name: (*c.requires, *c.wants) for c in COMPONENTS}
    assert closure(["tgt"], needs) == {"tgt", "ceph", "ceph-osd", "ceph-mon"}


#: The machine for arm64: for those who name it.
ARM64 = {"bmc-arm64", "bare-metal-arm64"}


#: What Kubernetes is needed for, which the first time is built.
MAGNUM = {"magnum", "magnum-api", "magnum-conductor", "magnum-database"}
CLUSTERS = MAGNUM | {"kubernetes", "kubernetes-clusters"}
HEAT = {"heat-database", "heat-api", "heat-engine", "heat", "stack_worker"}
OCTAVIA = {"octavia-database", "octavia-api", "octavia-worker", "octavia"}
#: What comes up only by its name: an emulator of its own is needed for it, or few need it.
OTHERS = ARM64 | CLUSTERS | HEAT | OCTAVIA | {"ceph-iscsi", "k8s_worker", "kubernetes-balancers"}


def test_bare_metal_comes_up_only_when_asked_for() -> None:
    """It needs root and costs a minute; nothing that comes up by default requires it."""
    needs = {c.name: (*c.requires, *c.wants) for c in COMPONENTS}
    default = closure([c.name for c in COMPONENTS if c.by_default], needs)
    metal = {"provisioning-network", "bmc", "ironic-database", "ironic", "bare-metal"}
    assert set(needs) - default == metal | OTHERS | {"golden-image", "baremetal_worker"}


def test_clusters_come_up_without_openstack_and_magnum_with_it() -> None:
    """Who hosts clusters needs nothing but Kubernetes' programs."""
    needs = {c.name: (*c.requires, *c.wants) for c in COMPONENTS}
    assert closure(["kubernetes-clusters"], needs) == {"kubernetes", "kubernetes-clusters"}
    assert closure(["magnum"], needs) >= CLUSTERS | {"keystone", "nova-api", "neutron", "glance"}


def test_the_baremetal_worker_brings_up_all() -> None:
    """Instead of a plain `up`, or after one; but for what comes up by its name only."""
    needs = {c.name: (*c.requires, *c.wants) for c in COMPONENTS}
    assert closure(["baremetal_worker"], needs) == set(needs) - OTHERS
