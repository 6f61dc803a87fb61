"""What there is of clusters is counted whatever of it Magnum can show, and cleared away always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from devcloud.site import Site
from tests.end_to_end.clusters.conftest import Magnum
from tests.faults.evidence import OUT
from tests.faults.magnum import admissions, clusters
from tests.faults.orchestration import Orchestration, orchestration
from tests.faults.words import Words
from tests.support.cloud import Cloud

ONE, TWO, STACK = (f"{n}0000000-0000-0000-0000-000000000000" for n in (1, 2, 3))
NAMES = {ONE: "cluster-1", TWO: "cluster-2", STACK: "stack-1"}
LIST = "/clusters/detail"


@dataclass
class Answer:
    """As `requests` has it."""

    status_code: int
    shown: Any = None
    text: str = ""

    def json(self) -> Any:
        """What it says."""
        if self.shown is None:
            raise ValueError("no JSON")
        return self.shown


@dataclass
class Asked:
    """Magnum and Keystone for one user: answers by path; what isn't named is not there."""

    answers: dict[str, Answer] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    current_user_id: str = "the-service-user"

    def get(self, path: str) -> Answer:
        """Answer."""
        return self.answers.get(path, Answer(404))

    @property
    def identity(self) -> Asked:
        """Keystone."""
        return self

    def application_credentials(self, user: str) -> list[Any]:
        """Those of that user."""
        assert user == self.current_user_id
        return [type("Credential", (), {"name": name}) for name in self.names]


@dataclass
class FakeMagnum:
    """All tenants have the same."""

    asked: Asked

    def of(self, tenant: str) -> Asked:
        """Return Magnum."""
        return self.asked if tenant == "bigtop" else Asked({LIST: Answer(200, {"clusters": []})})

    def connection(self, _tenant: str) -> Asked:
        """Return Keystone."""
        return self.asked

    def ours(self, shown: dict[str, Any]) -> Any:
        """All of them."""
        return shown["clusters"]


def _magnum(answers: dict[str, Answer] | None = None, *names: str) -> Magnum:
    return cast(Magnum, FakeMagnum(Asked(answers or {}, names)))


def test_clusters_are_those_that_magnum_lists() -> None:
    """Each with its resource and state."""
    shown = {"uuid": ONE, "labels": {"colobus_resource": "cluster-1"}, "status": "CREATE_COMPLETE"}
    (found,) = clusters(_magnum({LIST: Answer(200, {"clusters": [shown]})}), NAMES)
    assert (found.id, found.resource_id, found.status) == (ONE, "cluster-1", "CREATE_COMPLETE")


@pytest.mark.parametrize(
    "spoiled", [Answer(400), Answer(404, text="ClusterTemplate 1 could not be found.")]
)
def test_where_one_cluster_spoils_the_list_it_and_all_others_are_found(spoiled: Answer) -> None:
    """What is gone isn't; a seed that leaves such a one is judged, and doesn't break off."""
    answers = {
        LIST: spoiled,
        f"/clusters/{ONE}": spoiled,
        f"/clusters/{TWO}": Answer(200, {"status": "DELETE_FAILED"}),
    }
    found = {one.resource_id: one.status for one in clusters(_magnum(answers), NAMES)}
    assert found == {"cluster-1": "not to be shown", "cluster-2": "DELETE_FAILED"}
    del answers[f"/clusters/{ONE}"]
    found = {one.resource_id: one.status for one in clusters(_magnum(answers), NAMES)}
    assert found == {"cluster-2": "DELETE_FAILED"}


@pytest.mark.parametrize("answer", [Answer(503), Answer(200)])
def test_what_is_no_answer_is_asked_again(answer: Answer) -> None:
    """As while it is being restarted."""
    with pytest.raises(OUT, match="Magnum"):
        list(clusters(_magnum({LIST: answer}), NAMES))


def test_the_credentials_of_clusters_are_those_of_who_asks_for_them() -> None:
    """Of one that nobody knows, too; others are none of ours."""
    unknown = f"4{ONE[1:]}"
    names = (f"cluster-{ONE}", f"cluster-{unknown}", "of-a-person")
    found = [(one.resource_id, one.on) for one in admissions(_magnum(None, *names), NAMES)]
    assert found == [("cluster-1", ONE), ("nobody", unknown)]


def test_a_world_that_could_not_be_left_in_order_is_cleared_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its clusters and stacks were the next one's."""
    cleared = []
    _without_a_cloud(monkeypatch, lambda _: cleared.append("all"))
    with pytest.raises(AssertionError, match="still held"):
        _left_with_servers()
    assert cleared == ["all"]


def _left_with_servers() -> None:
    with orchestration({}, _NO_CLOUD):
        raise AssertionError("the cloud still held servers")


_NO_CLOUD = cast(Cloud, type("NoCloud", (), {"supervisor": type("No", (), {"site": None})}))


def _without_a_cloud(
    monkeypatch: pytest.MonkeyPatch, clear: Callable[[Orchestration], None]
) -> None:
    @contextmanager
    def listening(site: Site) -> Iterator[Words]:
        yield Words(site)

    monkeypatch.setattr("tests.faults.orchestration.listening", listening)
    monkeypatch.setattr(Orchestration, "clear", clear)


def test_what_can_not_be_removed_hinders_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clusters of both tenants are asked for, then stacks and what Heat has left."""
    steps: list[str] = []

    class Stuck(FakeMagnum):
        def clear(self, tenant: str) -> None:
            steps.append(tenant)
            raise AssertionError(f"{tenant} keeps a cluster")

    for step in ("_clear_stacks", "_clear_parts"):
        monkeypatch.setattr(Orchestration, step, lambda _, step=step: steps.append(step))
    made = Orchestration(_NO_CLOUD, cast(Any, None), cast(Magnum, Stuck(Asked())), cast(Any, None))
    with pytest.raises(AssertionError, match="keeps a cluster"):
        made.clear()
    assert steps == ["openlab", "bigtop", "_clear_stacks", "_clear_parts"]
