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


async def test_the_oldest_comes_first_in_a_whole_list_and_in_a_broken_one() -> None:
    """So that every replica keeps the same one."""
    magnum = Magnum()
    old = magnum.add("mine", KIT.labels("mine"))
    new = magnum.add("mine", KIT.labels("mine"))
    magnum.add("other", KIT.labels("other"))
    whole = await finding.look(magnum, KIT)
    assert await whole.of("mine") == [old, new]
    magnum.unlisted = [BROKEN]
    del magnum.kept[old.id]
    broken = await finding.look(magnum, KIT)
    assert await broken.of("mine", new.id) == [new]


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
    with pytest.raises(TemporaryError, match="400"):
        await finding.clusters_of(magnum, KIT, "mine")


async def test_a_known_one_that_bears_other_marks_is_not_taken_for_gone() -> None:
    """It is there; whose it is can't be said."""
    magnum = Magnum()
    known = magnum.add("mine", {"whose": "theirs"})
    with pytest.raises(TemporaryError, match=known.id):
        await finding.clusters_of(magnum, KIT, "mine", known.id)


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
