"""There, gone, or not to be said: what one look at Magnum tells of a resource's clusters."""

from __future__ import annotations

import pytest

from services.k8s_worker import finding
from services.k8s_worker.kit import Kit
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.marks import Marks
from tests.unit.k8s_worker.magnum import Magnum

KIT = Kit(Marks("test", "k8s_worker"), ())
BROKEN = TemporaryError("400", reason=Reason.BACKEND_REFUSED)


async def test_of_two_the_oldest_comes_first() -> None:
    """So that every replica keeps the same one."""
    magnum = Magnum()
    young = magnum.add("mine", KIT.labels("mine"), created_at="2026-03-01")
    old = magnum.add("mine", KIT.labels("mine"), created_at="2026-02-01")
    magnum.add("other", KIT.labels("other"))
    assert await finding.clusters_of(magnum, KIT, "mine") == [old, young]


async def test_in_a_broken_list_the_one_that_is_known_is_asked_for_before_its_name() -> None:
    """Of two of one name Magnum shows none by that name."""
    magnum = Magnum()
    known, other = (magnum.add("mine", KIT.labels("mine")) for _ in range(2))
    magnum.unlisted = [BROKEN] * 3
    assert await finding.clusters_of(magnum, KIT, "mine", known.id) == [known]
    with pytest.raises(TemporaryError, match="409"):
        await finding.clusters_of(magnum, KIT, "mine")
    del magnum.kept[known.id]
    assert await finding.clusters_of(magnum, KIT, "mine", known.id) == [other]


@pytest.mark.parametrize("broken", [False, True])
async def test_one_that_is_nowhere_is_gone(broken: bool) -> None:
    """Neither by its name nor by the id that it had."""
    magnum = Magnum(unlisted=[BROKEN] if broken else [])
    magnum.add("other", KIT.labels("other"))
    clusters = await finding.look(magnum, KIT)
    assert await clusters.of("mine") == []
    assert await clusters.of("mine", "m-9") == []


async def test_a_name_that_somebody_else_bears_too_is_no_proof_in_a_broken_list() -> None:
    """Ours of that name may be the one that Magnum can't show; in a whole list it would be seen."""
    magnum = Magnum()
    magnum.add("mine", {"whose": "theirs"})
    assert await finding.clusters_of(magnum, KIT, "mine") == []
    magnum.unlisted = [BROKEN]
    with pytest.raises(TemporaryError, match="somebody else's m-1"):
        await finding.clusters_of(magnum, KIT, "mine")


async def test_a_known_one_that_bears_other_marks_is_not_the_resources() -> None:
    """As when it is to be resized, or removed as an orphan."""
    magnum = Magnum()
    known = magnum.add("mine", {"whose": "theirs"})
    assert await finding.clusters_of(magnum, KIT, "mine", known.id) == []


async def test_one_that_is_known_and_not_yet_in_the_list_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list that lags behind is no proof."""
    magnum = Magnum()
    known = magnum.add("mine", KIT.labels("mine"))

    async def lagging() -> list[object]:
        return []

    monkeypatch.setattr(magnum, "clusters", lagging)
    assert await finding.clusters_of(magnum, KIT, "mine") == []
    assert await finding.clusters_of(magnum, KIT, "mine", known.id) == [known]


async def test_a_magnum_that_can_not_be_asked_says_nothing_of_anybody() -> None:
    """No cluster is asked for by itself then."""
    magnum = Magnum(unlisted=[TemporaryError("503", reason=Reason.BACKEND_UNAVAILABLE)])
    with pytest.raises(TemporaryError, match="503"):
        await finding.look(magnum, KIT)
