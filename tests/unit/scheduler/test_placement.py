"""Where a resource goes, and what is said of the clouds it doesn't go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.placement import Candidate, Rest, Standing, Wish, judge, place
from shared.contract.problems import Problem, Reason
from shared.contract.resources import Placement, Sort

RESTING = Rest("resting until 12:00:05 UTC after 5 failures")
OVER = Rest("tried again after a rest for 5 failures", over=True)
TRIED = Rest("being tried by one request after its rest", over=True, tried=True)
NO_HOST = Problem(title="x", detail="No valid host was found.", reason=Reason.NO_VALID_HOST)


def cloud(name: str = "c", **fields: object) -> Candidate:
    return Candidate(Placement(cloud=name), **{"building": 0, "limit": 9, **fields})  # type: ignore[arg-type]


def test_of_clouds_whose_rest_is_over_the_roomier_is_tried() -> None:
    """As of those that never rested."""
    choice = place([cloud("small", building=8, rest=OVER), cloud("large", rest=OVER)])
    assert choice.placement is not None
    assert choice.placement.cloud == "large"


def test_the_healthy_then_the_roomy_then_the_first() -> None:
    """And the explanation has a line per candidate."""
    sick, full = cloud("sick", recent_failures=2), cloud("full", building=9)
    small, large = cloud("small", building=3), cloud("large", building=1)
    choice = place([sick, full, small, large])
    assert choice.placement is not None
    assert choice.placement.cloud == "large"
    assert choice.alternatives == ("sick", "full", "small")
    assert choice.placement.explanation == (
        "sick: not chosen: room for 9 of 9 builds, 2 recent failures",
        "full: 9 of 9 builds under way",
        "small: not chosen: room for 6 of 9 builds, 0 recent failures",
        "large: chosen: room for 8 of 9 builds, 0 recent failures",
    )


@pytest.mark.parametrize(
    ("candidate", "wish", "standing", "words"),
    [
        (cloud(), Wish(), Standing.FREE, "room for 9 of 9 builds, 0 recent failures"),
        (
            cloud(recent_failures=1),
            Wish(),
            Standing.FREE,
            "room for 9 of 9 builds, 1 recent failure",
        ),
        (cloud(building=9), Wish(), Standing.BUSY, "9 of 9 builds under way"),
        (cloud(rest=RESTING), Wish(), Standing.RESTING, RESTING.words),
        (cloud(rest=TRIED), Wish(), Standing.RESTING, TRIED.words),
        (cloud(rest=OVER), Wish(), Standing.PROBE, OVER.words),
        (cloud(rest=OVER, building=9), Wish(), Standing.BUSY, "9 of 9 builds under way"),
        (cloud(), Wish(full={"c": (Reason.QUOTA_EXCEEDED, "5 of 5")}), Standing.FULL, "5 of 5"),
        (
            cloud(),
            Wish(left=["c"]),
            Standing.BUSY,
            "what it had there is still being removed",
        ),
        (
            cloud(rest=RESTING),
            Wish(refusals={"c": NO_HOST}),
            Standing.UNSUITABLE,
            "refused it: no_valid_host: No valid host was found.",
        ),
        (
            cloud(archs=frozenset({"x86_64"})),
            Wish(arch="aarch64"),
            Standing.UNSUITABLE,
            "has x86_64, not aarch64",
        ),
        (
            cloud(archs=frozenset({"x86_64"})),
            Wish(arch="x86_64"),
            Standing.FREE,
            "room for 9 of 9 builds, 0 recent failures",
        ),
        (
            cloud(),
            Wish(arch="aarch64"),
            Standing.UNSUITABLE,
            "not known to have aarch64: the tenants file declares no archs for it",
        ),
    ],
)  # fmt: skip
def test_how_a_cloud_stands_to_a_request(
    candidate: Candidate, wish: Wish, standing: Standing, words: str
) -> None:
    """One word and one line for each."""
    judged = judge(candidate, wish)
    assert (judged.standing, judged.words) == (standing, words)


def test_a_resting_cloud_says_until_when() -> None:
    """In the placement on another one."""
    choice = place([cloud("a", rest=RESTING), cloud("b")])
    assert choice.placement is not None
    assert choice.placement.cloud == "b"
    assert choice.placement.explanation[0] == "a: resting until 12:00:05 UTC after 5 failures"


def test_when_all_rest_it_waits_and_says_until_when() -> None:
    """Not failed: a rest ends."""
    choice = place([cloud("a", rest=RESTING), cloud("b", rest=TRIED)])
    assert (choice.placement, choice.hopeless) == (None, False)
    assert choice.reason is Reason.BACKEND_UNAVAILABLE
    assert choice.message == f"a: {RESTING.words}; b: {TRIED.words}"


def test_a_cloud_whose_rest_is_over_comes_first() -> None:
    """Else it would never be tried while another one has room."""
    choice = place([cloud("a"), cloud("b", rest=OVER, recent_failures=9)])
    assert choice.placement is not None
    assert choice.placement.cloud == "b"


def test_an_architecture_that_no_cloud_has_is_said_so() -> None:
    """With what each has."""
    choice = place([cloud("a", archs=frozenset({"x86_64"}))], Wish(arch="riscv64"))
    assert (choice.hopeless, choice.reason) == (True, Reason.NO_CLOUD)
    assert choice.message == "a: has x86_64, not riscv64"


def test_refused_everywhere_is_hopeless_with_all_the_words() -> None:
    """The reason is the clouds', not that there is none."""
    wish = Wish(refusals={"a": NO_HOST, "b": NO_HOST})
    choice = place([cloud("a"), cloud("b")], wish)
    assert (choice.hopeless, choice.reason) == (True, Reason.NO_VALID_HOST)
    assert choice.message.count("No valid host was found.") == 2


_CANDIDATES = st.lists(
    st.builds(
        Candidate,
        placement=st.builds(Placement, cloud=st.sampled_from("abcdef")),
        building=st.integers(0, 3),
        limit=st.just(3),
        recent_failures=st.integers(0, 9),
        rest=st.sampled_from([None, None, RESTING, OVER, TRIED]),
    ),
    max_size=6,
    unique_by=lambda one: one.place,
)


@given(_CANDIDATES, st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_a_resting_cloud_is_never_chosen(
    candidates: list[Candidate], refused: set[str], full: set[str]
) -> None:
    """Nor one that has refused, is full or has no room; while another is free, one is chosen."""
    wish = Wish(
        refusals=dict.fromkeys(refused, NO_HOST),
        full=dict.fromkeys(full, (Reason.QUOTA_EXCEEDED, "full")),
    )
    choice = place(candidates, wish)
    able = {
        one.place
        for one in candidates
        if one.rest in (None, OVER) and one.free and one.place not in refused | full
    }
    assert (choice.placement is not None) == bool(able)
    if choice.placement is not None:
        assert choice.placement.place in able
        assert len(choice.placement.explanation) == len(candidates)
        assert choice.placement.place not in choice.alternatives
    assert not refused & set(choice.alternatives)
    assert choice.hopeless == (not {one.place for one in candidates} - refused)


def test_who_wants_a_network_is_put_where_there_are_some() -> None:
    """A metal may be without; a request that says nothing of networks may go there."""
    bare = Candidate(Placement(metal="lab", store="rack"), 0, 9)
    wired = Candidate(Placement(metal="hall", store="rack", cloud="c"), 5, 9)
    chosen = place([bare, wired], Wish(sort=Sort.METAL, networked=True)).placement
    assert chosen is not None
    assert (chosen.metal, chosen.store, chosen.cloud) == ("hall", "rack", "c")
    chosen = place([bare, wired], Wish(sort=Sort.METAL)).placement
    assert chosen is not None
    assert chosen.place == "lab"
    none = place([bare], Wish(sort=Sort.METAL, networked=True))
    assert (none.hopeless, none.reason) == (True, Reason.NO_METAL)
    assert "has no networks" in none.message
    nowhere = place([], Wish(sort=Sort.METAL))
    assert (nowhere.reason, nowhere.message) == (Reason.NO_METAL, "There is no bare metal here.")
