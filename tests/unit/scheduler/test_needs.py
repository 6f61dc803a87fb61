"""Who names another resource waits for it, goes where it is, or is told that it can't come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.scheduler.admission import admit
from services.scheduler.needs import Named, Needs, is_young, needs_of
from services.scheduler.placement import Candidate
from services.scheduler.queues import Share, Waiting
from shared.contract.problems import Reason
from shared.contract.resources import Phase, Placement, Sort
from tests.unit.scheduler.test_admission import NOW

VOLUME = "volume-01jz0000000000000000000000"
SHARE = Share(1, {}, {}, {Sort.CLOUD: ("cloud",), Sort.STORE: ("east", "west")})
STORES = {name: Candidate(Placement(store=name), 0, 9) for name in ("east", "west")}


def attachment(needs: Needs) -> Waiting:
    return Waiting("attachment-1", "bigtop", {"attachments": 1}, kind="attachment", needs=needs)


def named(phase: Phase, tenant: str = "bigtop", place: str | None = "west") -> dict[str, Named]:
    return {VOLUME: Named(tenant, phase, place)}


def test_it_goes_where_that_is_which_it_names() -> None:
    """An active volume is in one store, and what uses it must be there too."""
    needs = needs_of("bigtop", {"volume": VOLUME}, named(Phase.ACTIVE))
    assert needs == Needs(place="west")
    outcome = admit([attachment(needs)], {"bigtop": SHARE}, STORES, NOW)
    ((_, choice),) = outcome.admitted
    assert choice.placement is not None
    assert choice.placement.store == "west"
    assert choice.placement.cloud is None
    assert choice.alternatives == ()


MACHINE = "machine-01jz0000000000000000000000"
ENDS = {"volume": VOLUME, "machine": MACHINE}


def test_a_volume_and_a_machine_on_one_store_come_together() -> None:
    """There, wherever the machine's node is."""
    known = {**named(Phase.ACTIVE), MACHINE: Named("bigtop", Phase.ACTIVE, "west")}
    assert needs_of("bigtop", ENDS, known) == Needs(place="west")
    known[MACHINE] = Named("bigtop", Phase.PROVISIONING, "west")
    assert needs_of("bigtop", ENDS, known).unready == f"machine: {MACHINE} is provisioning."


def test_a_volume_and_a_machine_on_two_stores_never_do() -> None:
    """It is told at once which is where."""
    known = {**named(Phase.ACTIVE), MACHINE: Named("bigtop", Phase.ACTIVE, "east")}
    needs = needs_of("bigtop", ENDS, known)
    outcome = admit([attachment(needs)], {"bigtop": SHARE}, STORES, NOW)
    ((_, choice),) = outcome.hopeless
    assert choice.reason is Reason.NO_STORE
    assert choice.message == (
        f"They must be on one store. volume: {VOLUME} is on west. machine: {MACHINE} is on east."
    )


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.WAITING, Phase.PROVISIONING])
def test_what_is_being_made_is_waited_for(phase: Phase) -> None:
    """With a reason that names it; whoever stands behind passes."""
    needs = needs_of("bigtop", {"volume": VOLUME}, named(phase))
    behind = Waiting("volume-2", "bigtop", {"volumes": 1}, kind="volume")
    outcome = admit([attachment(needs), behind], {"bigtop": SHARE}, STORES, NOW)
    assert [one for one, _ in outcome.admitted] == ["volume-2"]
    (held,) = outcome.held
    assert held.reason is Reason.REFERENCE_NOT_READY
    assert held.message == f"volume: {VOLUME} is {phase.value}."


@pytest.mark.parametrize(
    "known",
    [
        {},
        named(Phase.ACTIVE, tenant="hive"),
        named(Phase.FAILED),
        named(Phase.DELETED),
        named(Phase.DEPROVISIONING),
    ],
    ids=["unknown", "another tenant's", "failed", "deleted", "on its way out"],
)
def test_what_cannot_come_is_told_at_once(known: dict[str, Named]) -> None:
    """Another tenant's is as unknown as what there never was."""
    needs = needs_of("bigtop", {"volume": VOLUME}, known)
    outcome = admit([attachment(needs)], {"bigtop": SHARE}, STORES, NOW)
    ((_, choice),) = outcome.hopeless
    assert choice.reason is Reason.REFERENCE_NOT_FOUND
    assert choice.message.startswith("volume: ")
    assert VOLUME in choice.message


@pytest.mark.parametrize("known", [{}, named(Phase.ACTIVE, tenant="hive")])
def test_what_is_not_known_yet_is_waited_for_a_while(known: dict[str, Named]) -> None:
    """Requests that were accepted one after the other may be recorded in another order."""
    assert is_young(NOW, NOW + timedelta(seconds=59))
    assert not is_young(NOW, NOW + timedelta(seconds=60))
    needs = needs_of("bigtop", {"volume": VOLUME}, known, young=True)
    outcome = admit([attachment(needs)], {"bigtop": SHARE}, STORES, NOW)
    (held,) = outcome.held
    assert held.reason is Reason.REFERENCE_NOT_READY
    assert VOLUME in held.message


def test_without_any_store_the_reason_says_so() -> None:
    """An installation without storage refuses volumes in its own words."""
    volume = Waiting("volume-1", "bigtop", {"volumes": 1}, kind="volume")
    outcome = admit([volume], {"bigtop": Share(1, {}, {}, {Sort.CLOUD: ("cloud",)})}, STORES, NOW)
    ((_, choice),) = outcome.hopeless
    assert choice.reason is Reason.NO_STORE


def test_a_kind_at_its_quota_does_not_hold_up_the_others() -> None:
    """Volumes wait for volumes; the tenant's attachments go on."""
    share = Share(
        1, {"volumes": 1}, {"volumes": 1}, {Sort.CLOUD: ("cloud",), Sort.STORE: ("east", "west")}
    )
    volumes = [Waiting(f"volume-{n}", "bigtop", {"volumes": 1}, kind="volume") for n in range(2)]
    queue = [volumes[0], attachment(Needs(place="west")), volumes[1]]
    outcome = admit(queue, {"bigtop": share}, STORES, NOW)
    assert [one for one, _ in outcome.admitted] == ["attachment-1"]
    assert [(one.id, one.position) for one in outcome.held] == [("volume-0", 1), ("volume-1", 2)]


def test_gibibytes_do_not_count_as_things_in_the_fair_share() -> None:
    """Who has one large volume holds as much as who has one VM."""
    large = Share(
        1, {}, {"volumes": 1, "volume_gib": 4000}, {Sort.CLOUD: ("cloud",), Sort.STORE: ("east",)}
    )
    many = Share(1, {}, {"vms": 3}, {Sort.CLOUD: ("cloud",), Sort.STORE: ("east",)})
    queue = [
        Waiting("volume-1", "many", {"volumes": 1}, kind="volume"),
        Waiting("volume-2", "large", {"volumes": 1}, kind="volume"),
    ]
    room = {"east": Candidate(Placement(store="east"), 0, 1)}
    outcome = admit(queue, {"large": large, "many": many}, room, NOW)
    assert [one for one, _ in outcome.admitted] == ["volume-2"]
