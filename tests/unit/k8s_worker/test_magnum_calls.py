"""What Magnum's answers mean."""

from __future__ import annotations

from typing import Any, cast

import pytest

from services.k8s_worker.backend import NewCluster
from services.k8s_worker.magnum_calls import MagnumProject
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.worker.errors import NotFound, Refused

NEW = NewCluster(name="cluster-1", template_id="t-1", node_count=1, master_count=1, labels={})


async def refusal(answer: Refused) -> Refused:
    """What is made of an answer to the making of a cluster."""

    async def calls(*_: Any, **__: Any) -> Any:
        raise answer

    with pytest.raises(Refused) as refused:
        await MagnumProject("devcloud", "bigtop", cast(Calls, calls)).create_cluster(NEW)
    return refused.value


async def test_a_template_that_is_gone_is_told_by_400_too() -> None:
    """Another request may just have removed it as the second of its name: that passes."""
    seen = await refusal(Refused("ClusterTemplate bec81894-a26b could not be found."))
    assert isinstance(seen, NotFound)
    assert seen.reason == Reason.TEMPLATE_NOT_FOUND


async def test_other_refusals_stay_what_they_are() -> None:
    """Magnum's own words and reason."""
    for answer in (
        Refused("Keypair x could not be found."),
        NotFound("ClusterTemplate t-1 could not be found.", reason=Reason.TEMPLATE_NOT_FOUND),
    ):
        assert await refusal(answer) is answer
