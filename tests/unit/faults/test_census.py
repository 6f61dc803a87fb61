"""The census finds what it is there to find: each fault is planted, and named."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colobus.models import Phase
from tests.faults.census import judge
from tests.faults.facts import Common, Evidence, Held, Instance, Row, Told
from tests.faults.plan import Ending, Plan

KEPT = Plan("kept", "bigtop", Ending.KEEP, floating_ip=True, twice=False, deadline=None)
GONE = Plan("gone", "bigtop", Ending.AT_ONCE, floating_ip=False, twice=True, deadline=None)
LEDGER = (
    Row("vm-1", "bigtop", Phase.ACTIVE, 3),
    Row("vm-2", "bigtop", Phase.DELETED, 2, "delete_requested"),
)
TIMELINE = (
    Told("vm-1", 1, Phase.REQUESTED),
    Told("vm-1", 2, Phase.PROVISIONING),
    Told("vm-1", 3, Phase.ACTIVE),
    Told("vm-2", 1, Phase.REQUESTED),
    Told("vm-2", 2, Phase.DELETED),
)
HELD = (
    Held("server", "server-1", "vm-1", None, "ACTIVE"),
    Held("port", "port-1", "vm-1", "server-1", "ACTIVE"),
    Held("floating_ip", "floating_ip-1", "vm-1", "port-1", "ACTIVE"),
)
COMMONS = (
    Common("network", "network-1", "bigtop"),
    Common("subnet", "subnet-1", "bigtop", "network-1"),
    Common("router", "router-1", "bigtop", "network-1"),
)
STRANGERS = Common("network", "network-9", "nobody (project 9)")
GOOD = Evidence(
    plans=(KEPT, GONE),
    answers={"kept": ("vm-1",), "gone": ("vm-2", "vm-2")},
    ledger=LEDGER,
    read_model=LEDGER,
    timeline=TIMELINE,
    streamed=TIMELINE,
    webhooks=(*TIMELINE, TIMELINE[0]),  # at least once
    held=HELD,
    commons=COMMONS,
    networked=frozenset({"bigtop", "openlab"}),
    usage={("bigtop", "vms"): 1, ("bigtop", "floating_ips"): 1},
    demands={"vm-1": {"vms": 1, "floating_ips": 1}, "vm-2": {"vms": 1}},
    left_over={"timers": 0},
)


def found(**changes: Any) -> str:
    """Judge the good evidence with these changes."""
    return "\n".join(judge(dataclasses.replace(GOOD, **changes)))


def test_where_all_agree_nothing_is_wrong() -> None:
    """Also when a webhook came twice, or a request was sent twice."""
    assert judge(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"held": (*HELD, Held("server", "server-2", "vm-1"))}, "doubled: vm-1 has 2 servers"),
        ({"held": (*HELD, Held("port", "port-2", "vm-1"))}, "doubled: vm-1 has 2 ports"),
        ({"held": HELD[:2]}, "lost: vm-1 has 0 floating_ips"),
        ({"held": (*HELD, Held("port", "port-2", "vm-2"))}, "leaked: vm-2 has 1 ports"),
        ({"held": (*HELD, Held("server", "server-9", "vm-9"))}, "leaked: vm-9 has 1 servers"),
        (
            {"held": (HELD[0], dataclasses.replace(HELD[1], on="", status="DOWN"), HELD[2])},
            "the port of vm-1 is not on its server",
        ),
        (
            {"held": (dataclasses.replace(HELD[0], status="ERROR"), *HELD[1:])},
            "vm-1 is active, but its server is ERROR",
        ),
        (
            {"commons": (*COMMONS, Common("network", "network-2", "bigtop"))},
            "doubled: bigtop has 2 default networks: ['network-1', 'network-2']",
        ),
        (
            {"commons": (*COMMONS, Common("subnet", "subnet-2", "bigtop", "network-1"))},
            "doubled: bigtop has 2 default subnets",
        ),
        (
            {"commons": (*COMMONS, Common("router", "router-2", "bigtop"))},
            "doubled: bigtop has 2 default routers",
        ),
        ({"commons": COMMONS[:2]}, "lost: bigtop has no default router"),
        (
            {"commons": (*COMMONS[:2], dataclasses.replace(COMMONS[2], on=None))},
            "the default router router-1 of bigtop is on None",
        ),
        ({"commons": (*COMMONS, STRANGERS)}, "leaked: nobody (project 9) has default networks"),
        ({"networked": frozenset({"openlab"})}, "leaked: bigtop has default routers"),
        ({"answers": {"kept": ("vm-1",)}}, "gone was answered with 0 ids"),
        ({"answers": {**GOOD.answers, "gone": ("vm-2", "vm-3")}}, "lost: vm-3 is not in the"),
        ({"ledger": LEDGER[:1]}, "lost: vm-2 is not in the ledger"),
        ({"read_model": LEDGER[1:]}, "lost: vm-1 is not in the read model"),
        ({"ledger": (*LEDGER, Row("vm-9", "bigtop", Phase.DELETED, 0))}, "nobody knows vm-9"),
        (
            {"read_model": (dataclasses.replace(LEDGER[0], revision=2), LEDGER[1])},
            "the front door shows",
        ),
        ({"usage": {("bigtop", "vms"): 2, ("bigtop", "floating_ips"): 1}}, "counts 2, but 1"),
        ({"left_over": {"timers": 1}}, "left over: 1 timers"),
        ({"unsettled": ("vm-1",)}, "stuck: vm-1"),
        ({"ended": ("scheduler ended with 1",)}, "a service gave up"),
        ({"timeline": TIMELINE[1:], "streamed": TIMELINE[1:]}, "the timeline of vm-1 lacks [1]"),
        ({"streamed": TIMELINE[:-1]}, "did not come by the stream"),
        ({"streamed": (*TIMELINE, TIMELINE[0])}, "2 times"),
        ({"webhooks": TIMELINE[:2] + TIMELINE[3:]}, "did not come by the webhook log"),
        ({"webhooks": (*TIMELINE, Told("vm-1", 4, Phase.FAILED))}, "which never was"),
    ],
)
def test_what_is_wrong_is_found(changes: dict[str, Any], finding: str) -> None:
    """A doubled server, a lost webhook, a leaked port: each is planted alone."""
    assert finding in found(**changes)


NEVER_LAUNCHED = Instance("vm-1", launched=False)
IN_ERROR = Instance("vm-1", launched=False, fault="No valid host was found.")
LAUNCHED = Instance("vm-1", launched=True)
ELSEWHERE = Instance("vm-2", launched=False, fault="No valid host was found.")


def fails(reason: str, *instances: Instance, losers: frozenset[str] = frozenset({"nova"})) -> bool:
    """Tell whether it is a finding that the VM which is kept has failed for this reason."""
    failed = dataclasses.replace(LEDGER[0], phase=Phase.FAILED, reason=reason)
    ledger = (failed, LEDGER[1])
    wrong = found(ledger=ledger, instances=instances, losers=losers)
    return f"vm-1 (kept, keeps it) is failed for {reason}" in wrong


def test_a_failed_build_needs_an_excuse() -> None:
    """Only where Nova itself was killed may a VM fail that its requester wanted to keep."""
    assert not fails("build_failed", IN_ERROR)
    assert fails("build_failed", IN_ERROR, losers=frozenset())
    assert fails("build_failed", IN_ERROR, losers=frozenset({"ironic"}))


@pytest.mark.parametrize(
    "reason", ["build_failed", "no_valid_host", "server_error", "deadline_exceeded"]
)
def test_what_nova_does_not_bear_out_is_no_excuse(reason: str) -> None:
    """A command that we lost until the deadline, or a sight that we lost of a server that runs."""
    assert fails(reason)
    assert fails(reason, LAUNCHED)
    assert fails(reason, LAUNCHED, NEVER_LAUNCHED)
    assert fails(reason, ELSEWHERE)


@pytest.mark.parametrize(
    "reason", ["build_failed", "no_valid_host", "server_error", "deadline_exceeded"]
)
def test_what_nova_had_in_error_may_fail(reason: str) -> None:
    """Whatever became of its other servers, and however the VM's time ended."""
    assert not fails(reason, IN_ERROR)
    assert not fails(reason, LAUNCHED, IN_ERROR)


def test_what_never_came_out_of_build_may_run_out_of_time() -> None:
    """Or be in ERROR without a word; but nobody may say what Nova did not."""
    assert not fails("deadline_exceeded", NEVER_LAUNCHED)
    assert not fails("server_error", NEVER_LAUNCHED, NEVER_LAUNCHED)
    assert not fails("build_failed", NEVER_LAUNCHED)
    assert fails("no_valid_host", NEVER_LAUNCHED)


def test_no_other_reason_is_ever_novas() -> None:
    """What was removed or refused is not for Nova to answer for."""
    assert fails("removed_externally", IN_ERROR)


def test_a_hurry_fails_by_its_own_deadline_alone() -> None:
    """Which needs no excuse of Nova's; any other reason does."""
    hurry = dataclasses.replace(KEPT, ending=Ending.HURRY)
    for reason, right in (("deadline_exceeded", True), ("build_failed", False)):
        failed = dataclasses.replace(LEDGER[0], phase=Phase.FAILED, reason=reason)
        wrong = found(plans=(hurry, GONE), ledger=(failed, LEDGER[1]))
        assert (f"failed for {reason}" not in wrong) is right


def test_a_default_network_may_stay_behind_half_made_but_not_doubled() -> None:
    """Who comes next goes on with it; a second part serves nobody, and would stay."""
    gone = {
        "ledger": tuple(dataclasses.replace(row, phase=Phase.DELETED) for row in LEDGER),
        "held": (),
    }
    assert "default" not in found(**gone)
    assert "default" not in found(**gone, commons=COMMONS[:1])
    twice = (*COMMONS, Common("router", "router-2", "bigtop"))
    assert "doubled: bigtop has 2 default routers" in found(**gone, commons=twice)


def test_in_the_end_everything_is_deleted() -> None:
    """What was right when all was made is wrong when all is unmade."""
    assert "vm-1 (kept, keeps it) is active" in found(unmade=True)
