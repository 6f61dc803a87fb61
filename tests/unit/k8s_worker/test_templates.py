"""Which cluster template a request gets, and when one is made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.k8s_worker import templates
from services.k8s_worker.backend import Template, Unanswered
from services.k8s_worker.checks import checks_of
from services.k8s_worker.templates import Chosen, choose
from services.k8s_worker.templates_file import Recipe, RecipesError, load_recipes
from shared.contract.messages import ProvisionCluster
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.runtime.locks import KeyedLocks
from shared.worker.errors import NotFound
from shared.worker.marks import Marks
from tests.unit.k8s_worker.magnum import Magnum

MARKS = Marks("test", "k8s_worker")
SMALL: dict[str, Any] = {"image": "node", "flavor": "small", "external_network": "public"}
RECIPES = (
    Recipe(version="1.20.2", **SMALL, master_count=3, labels={"a": "b"}),
    Recipe(version="1.21", **SMALL, arch="aarch64", settings={"dns_nameserver": "10.0.0.2"}),
    Recipe(version="1.22", **SMALL, cloud="elsewhere"),
)


async def chosen(
    magnum: Magnum, version: str, making: KeyedLocks | None = None, **spec: Any
) -> Chosen:
    asked = ProvisionCluster(cloud="devcloud", node_count=1, version=version, **spec)
    return await choose(magnum, RECIPES, MARKS, making or KeyedLocks(), asked)


async def test_a_template_is_made_of_the_recipe_once() -> None:
    """What the operator says is in it; the next request finds it."""
    magnum = Magnum()
    first, second = await chosen(magnum, "1.20"), await chosen(magnum, "1.20.2")
    assert first == second == Chosen("t-1", master_count=3, made=True)
    (body,) = magnum.bodies
    assert body["name"].startswith("colobus-test-1.20.2-any-small-")
    assert (body["coe"], body["image_id"], body["labels"]) == ("kubernetes", "node", {"a": "b"})


async def test_each_flavor_has_a_template_of_its_own() -> None:
    """And each architecture."""
    magnum = Magnum()
    await chosen(magnum, "1.20", flavor="large")
    await chosen(magnum, "1.21", arch="aarch64")
    large, arm = magnum.bodies
    assert (large["flavor_id"], large["master_flavor_id"]) == ("large", "small")
    assert arm["name"].startswith("colobus-test-1.21-aarch64-small-")
    assert arm["dns_nameserver"] == "10.0.0.2"


async def test_requests_that_come_at_once_share_the_template_that_one_of_them_makes() -> None:
    """Those of one worker. Without what they share each makes one, as two replicas would."""
    magnum, making = Magnum(), KeyedLocks()
    three = await asyncio.gather(*(chosen(magnum, "1.20", making) for _ in range(3)))
    assert {one.template_id for one in three} == {"t-1"}
    assert len(magnum.bodies) == 1
    apart = Magnum()
    await asyncio.gather(*(chosen(apart, "1.20") for _ in range(2)))
    assert len(apart.bodies) == 2


async def test_who_waits_too_long_for_another_to_make_it_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is one of few that the cloud has for all tenants; the command is sent again."""
    monkeypatch.setattr(templates, "WAITS", 0.0)
    making = KeyedLocks()
    name = RECIPES[0].name("test", "small")
    async with making.hold(("devcloud", "bigtop", name)):
        with pytest.raises(TemporaryError) as busy:
            await chosen(Magnum(), "1.20", making)
    assert busy.value.reason == Reason.NO_CAPACITY


async def test_a_template_that_the_list_does_not_show_yet_is_taken_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Magnum has just said that it made it."""
    magnum = Magnum()

    async def none() -> list[Template]:
        return []

    monkeypatch.setattr(magnum, "templates", none)
    assert (await chosen(magnum, "1.20")).template_id == "t-1"


async def test_of_two_that_replicas_made_at_once_all_take_the_older_one_and_none_goes() -> None:
    """Names of templates are not unique. Magnum may have an order for one of the other yet."""
    magnum = Magnum()
    name = RECIPES[0].name("test", "small")
    magnum.known = [Template(f"t-{n}", name, {}, created_at=f"2026-0{n}") for n in (2, 1)]
    assert (await chosen(magnum, "1.20")).template_id == "t-1"
    assert (await chosen(magnum, "1.20")).template_id == "t-1"
    assert len(magnum.known) == 2


async def test_what_a_recipe_promises_is_a_label_that_its_clusters_inherit() -> None:
    """It holds as long as they live, whatever the operator's file says by then."""
    promise = {"dns": "Service kube-system/kube-dns", "cloud": "DaemonSet kube-system/ccm"}
    recipe = Recipe(version="1.20", **SMALL, checks=promise)
    labels = recipe.body("small")["labels"]
    assert labels == {
        "colobus_checks": "cloud=DaemonSet kube-system/ccm; dns=Service kube-system/kube-dns"
    }
    assert [(one.name, one.target) for one in checks_of(labels)] == sorted(promise.items())
    assert recipe.name("test", "small") != RECIPES[0].name("test", "small")
    assert checks_of({}) == ()


@pytest.mark.parametrize("words", ["dns", "dns=Pod a/b", "dns=Service ../b", "a=Service a/b;" * 21])
def test_a_promise_that_can_not_be_read_is_not_kept(words: str) -> None:
    """A tenant's own template may say anything: its cluster doesn't become active."""
    with pytest.raises(Unanswered, match="no checks that are known"):
        checks_of({"colobus_checks": words})


async def test_a_template_that_is_named_is_taken_as_it_is() -> None:
    """Whether there is one is Magnum's to say."""
    named = await chosen(Magnum(), "1.30", template="mine", flavor="large")
    assert named == Chosen("mine", flavor="large")


async def test_without_a_recipe_a_public_template_of_that_version_is_found() -> None:
    """By the label that Magnum's drivers read."""
    magnum = Magnum()
    magnum.known = [
        Template("t-other", "swarm", {"kube_tag": "v1.25.3"}, coe="swarm"),
        Template("t-25", "k8s", {"kube_tag": "v1.25.3"}),
    ]
    assert await chosen(magnum, "1.25", flavor="large") == Chosen("t-25", flavor="large")
    assert magnum.bodies == []


@pytest.mark.parametrize(("version", "spec"), [("1.2", {}), ("1.22", {}), ("1.20", {"arch": "x"})])
async def test_what_there_is_not_is_refused_with_what_there_is(
    version: str, spec: dict[str, Any]
) -> None:
    """1.2 is not 1.20; another cloud's recipe is none; nor is one of no such architecture."""
    with pytest.raises(NotFound, match=r"there are: 1\.20\.2, 1\.21\.$") as refused:
        await chosen(Magnum(), version, **spec)
    assert refused.value.reason == Reason.VERSION_NOT_FOUND


def test_every_fault_of_the_operators_file_is_told_with_its_place(tmp_path: Path) -> None:
    """And a file without faults is read."""
    path = tmp_path / "cluster_templates.yaml"
    path.write_text("versions: [{version: '1.20'}, {version: one}]\nmore: 1\n")
    with pytest.raises(RecipesError) as wrong:
        load_recipes(path)
    assert [one.split(":")[0] for one in wrong.value.faults] == [
        "more",
        "versions[0]",
        "versions[1]",
    ] or len(wrong.value.faults) == 3
    path.write_text(
        "versions: [{version: '1.20', image: node, flavor: small, external_network: public}]"
    )
    assert load_recipes(path) == (Recipe(version="1.20", **SMALL),)
    assert load_recipes(None) == ()
