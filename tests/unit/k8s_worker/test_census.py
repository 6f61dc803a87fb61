"""A census is whole, also where clusters come and go all the time."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from services.k8s_worker import census
from services.k8s_worker.kit import Kit
from shared.contract.codec import envelope_for
from shared.contract.messages import CensusTaken, TakeCensus
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, TemporaryError
from shared.runtime.tenants import Tenant, Tenants
from shared.worker.command import Command
from shared.worker.marks import Marks
from tests.unit.k8s_worker.magnum import Magnum

KIT = Kit(Marks("test", "k8s_worker"), ())
TENANTS = Tenants({"bigtop": Tenant(name="bigtop", projects={"devcloud": "p-1"})})
BROKEN = TemporaryError("400", reason=Reason.BACKEND_REFUSED)


async def census_of(magnum: Magnum) -> CensusTaken:
    message = TakeCensus(place="devcloud")
    envelope = envelope_for(message, source="/test", subject="census", tenant="-")
    command = Command(message, envelope, False, Deadline.after(30), False)
    (one,) = await census.answer_census(magnum, KIT, TENANTS, command)
    assert isinstance(one.message, CensusTaken)
    return one.message


async def taken(magnum: Magnum) -> list[str | None]:
    return [holding.resource_id for holding in (await census_of(magnum)).holdings]


async def test_a_project_whose_clusters_can_not_be_listed_just_now_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few times; what stays broken is left out, the log says why, and an outage is no census."""
    monkeypatch.setattr(census, "PAUSE", 0.0)
    magnum = Magnum()
    magnum.add("c-1", KIT.labels("c-1"))
    magnum.add("by-hand", {})
    magnum.unlisted = [BROKEN] * (census.TRIES - 1)
    assert await taken(magnum) == ["c-1"]
    magnum.unlisted = [BROKEN] * census.TRIES
    with capture_logs() as said:
        without = await census_of(magnum)
    assert (without.holdings, without.left_out) == ((), ("bigtop",))
    assert [(one["tenant"], one["why"]) for one in said] == [("bigtop", "400")]
    magnum.unlisted = [BackendUnavailable("down")]
    with pytest.raises(BackendUnavailable):
        await taken(magnum)
