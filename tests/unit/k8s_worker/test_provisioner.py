"""One cluster per resource, whatever is delivered twice, lost, or made at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from services.k8s_worker.backend import Access, NewCluster
from services.k8s_worker.draining import UNTOLD
from services.k8s_worker.kit import CLUSTER, Kit
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.provisioner import (
    deprovision_cluster,
    provision_cluster,
    remove_orphan,
    resize_cluster,
)
from services.k8s_worker.templates_file import Recipe
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    DeprovisionCluster,
    Message,
    ProvisionCluster,
    RemoveOrphan,
    ResizeCluster,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import OutcomeUnknown, TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound, Refused
from shared.worker.marks import Marks
from tests.unit.k8s_worker.magnum import Magnum, Server

M = TypeVar("M", bound=Message)
ID = "cluster-01jz0000000000000000000000"
OTHER = "cluster-01jz0000000000000000000001"
RECIPE = Recipe(version="1.20", image="node", flavor="small", external_network="public")
KIT = Kit(Marks("test", "k8s_worker"), (RECIPE,))
ASKED = ProvisionCluster(cloud="devcloud", node_count=2, version="1.20")


def command(message: M, *, repeated: bool = False, redelivered: bool = False) -> Command[M]:
    envelope = envelope_for(message, source="/test", subject=ID, tenant="bigtop")
    return Command(message, envelope, repeated, Deadline.after(30), redelivered)


async def provision(magnum: Magnum, message: ProvisionCluster = ASKED, **how: bool) -> str:
    asked = command(message, **how)
    return (await provision_cluster(magnum, KIT, asked))[0]


async def test_a_cluster_has_the_resources_name_and_labels() -> None:
    """By which alone it is found again."""
    magnum = Magnum()
    made = await provision(magnum)
    cluster = magnum.kept[made]
    assert cluster.name == ID
    assert KIT.owner(cluster) == ID
    assert magnum.made[0].node_count == 2


async def test_a_command_that_comes_again_finds_its_cluster() -> None:
    """Delivered twice, or tried again after an answer that was lost."""
    magnum = Magnum()
    first = await provision(magnum)
    assert await provision(magnum, repeated=True, redelivered=True) == first
    assert await provision(magnum, repeated=True) == first
    assert len(magnum.made) == 1


async def test_what_another_worker_may_have_asked_for_a_moment_ago_is_let_appear() -> None:
    """Nothing is made by a redelivery itself, nor while an unanswered request may have its way."""
    magnum = Magnum()
    with pytest.raises(OutcomeUnknown):
        await provision(magnum, repeated=True, redelivered=True)
    soon = datetime.now(UTC) + timedelta(seconds=20)
    late = ProvisionCluster(cloud="devcloud", node_count=2, version="1.20", look_until=soon)
    with pytest.raises(TemporaryError):
        await provision(magnum, late, repeated=True)
    assert magnum.made == []


async def test_an_unknown_outcome_is_looked_for() -> None:
    """Magnum made it, and its answer was lost."""
    magnum = Magnum(lost=[OutcomeUnknown("no answer")])
    with pytest.raises(OutcomeUnknown):
        await provision(magnum)
    assert await provision(magnum, repeated=True) == "m-1"
    assert len(magnum.kept) == 1


async def test_of_two_the_oldest_stays() -> None:
    """Names are not unique in Magnum."""
    magnum = Magnum()
    first = magnum.add(ID, KIT.labels(ID))
    magnum.add(ID, KIT.labels(ID))
    assert await provision(magnum, repeated=True) == first.id
    assert list(magnum.kept) == [first.id]


async def test_an_order_that_was_thought_lost_and_comes_after_all_is_the_one_that_stays() -> None:
    """Magnum's conductor was only away: it makes both."""

    class Late(Magnum):
        async def create_cluster(self, new: NewCluster) -> str:
            self.add(new.name, new.labels)
            return await super().create_cluster(new)

    magnum = Late()
    assert await provision(magnum, repeated=True) == "m-1"
    assert list(magnum.kept) == ["m-1"]


async def test_others_clusters_of_the_same_name_are_not_ours() -> None:
    """Neither taken nor removed: the labels say whose they are."""
    magnum = Magnum()
    strangers = [magnum.add(ID, {}), magnum.add(ID, Kit(Marks("b", "w"), ()).labels(ID))]
    strangers.append(magnum.add("by-hand", KIT.labels(ID)))
    made = await provision(magnum, repeated=True)
    assert made not in {one.id for one in strangers}
    gone = command(DeprovisionCluster(cloud="devcloud", cluster_id=made))
    lookout = Lookout(Server)
    assert await deprovision_cluster(magnum, KIT, lookout, gone) == (made, [])
    assert await deprovision_cluster(magnum, KIT, lookout, gone) is None
    assert set(magnum.kept) == {one.id for one in strangers}


async def test_one_that_is_being_removed_is_waited_for() -> None:
    """Before another is made of the same name."""
    magnum = Magnum()
    magnum.add(ID, KIT.labels(ID), status="DELETE_IN_PROGRESS")
    with pytest.raises(TemporaryError, match="still being removed"):
        await provision(magnum, repeated=True)
    assert (magnum.made, magnum.kept) == ([], {})


async def test_a_resize_is_ordered_once() -> None:
    """Magnum has the number already where it is ordered again, unless it gave it up."""
    magnum = Magnum()
    cluster = magnum.add(ID, KIT.labels(ID), node_count=2)
    asked = ResizeCluster(
        cloud="devcloud", cluster_id=cluster.id, operation_id="op-1", node_count=2
    )
    order = command(asked)
    await resize_cluster(magnum, KIT, order)
    assert magnum.resized == []
    magnum.add(ID, KIT.labels(ID), node_count=2, status="UPDATE_FAILED")
    again = command(
        ResizeCluster(cloud="devcloud", cluster_id="m-2", operation_id="op-1", node_count=2)
    )
    await resize_cluster(magnum, KIT, again)
    assert magnum.resized == [("m-2", 2)]


@pytest.mark.parametrize(
    ("status", "error"), [("UPDATE_IN_PROGRESS", TemporaryError), ("", Refused)]
)
async def test_a_resize_waits_until_magnum_is_done_with_the_one_before(
    status: str, error: type[Exception]
) -> None:
    """What it refuses meanwhile is not refused for good."""
    magnum = Magnum(no_resize=Conflict("is at another"))
    cluster = magnum.add(ID, KIT.labels(ID), node_count=2, status=status)
    asked = ResizeCluster(
        cloud="devcloud", cluster_id=cluster.id, operation_id="op-1", node_count=3
    )
    order = command(asked)
    with pytest.raises(error, match="is at another"):
        await resize_cluster(magnum, KIT, order)


async def test_a_template_that_somebody_has_removed_is_looked_for_again() -> None:
    """Of a recipe's there is another; one that the user names is not there."""
    gone = NotFound("no template", reason=Reason.TEMPLATE_NOT_FOUND)
    with pytest.raises(TemporaryError, match="no template"):
        await provision(Magnum(lost=[gone]))
    named = ProvisionCluster(cloud="devcloud", node_count=2, version="1.20", template="mine")
    with pytest.raises(NotFound):
        await provision(Magnum(lost=[gone]), named)


async def test_clusters_that_are_asked_for_at_once_are_of_one_template() -> None:
    """The worker's requests share what they make it under."""
    magnum = Magnum()
    await asyncio.gather(*(provision(magnum) for _ in range(3)))
    assert len(magnum.bodies) == 1
    assert {one.template_id for one in magnum.made} == {"t-1"}


async def test_a_cluster_that_magnum_can_not_show_is_not_taken_for_gone() -> None:
    """It has lost its template, say, and runs."""
    magnum = Magnum()
    spoiled = magnum.add(ID, KIT.labels(ID))
    magnum.unshowable = {spoiled.id}
    gone = command(DeprovisionCluster(cloud="devcloud", cluster_id=spoiled.id))
    with pytest.raises(TemporaryError, match="no template"):
        await deprovision_cluster(magnum, KIT, Lookout(Server), gone)
    order = RemoveOrphan(what=CLUSTER, object_id=spoiled.id, place="devcloud", resource_id=ID)
    with pytest.raises(TemporaryError, match="no template"):
        await remove_orphan(magnum, KIT, order)
    assert list(magnum.kept) == [spoiled.id]


async def test_where_the_list_is_broken_the_cluster_that_is_known_is_deleted() -> None:
    """One cluster that Magnum can't show must not keep the tenant's others alive."""
    broken = TemporaryError("400", reason=Reason.BACKEND_REFUSED)
    magnum = Magnum(unlisted=[broken, broken, broken])
    mine, theirs = magnum.add(ID, KIT.labels(ID)), magnum.add(OTHER, KIT.labels(OTHER))

    async def deprovision(cluster_id: str | None) -> object:
        gone = command(DeprovisionCluster(cloud="devcloud", cluster_id=cluster_id))
        return await deprovision_cluster(magnum, KIT, Lookout(Server), gone)

    assert await deprovision(mine.id) == (mine.id, [])
    with pytest.raises(TemporaryError, match="400"):
        await deprovision(theirs.id)
    assert list(magnum.kept) == [theirs.id]


async def test_where_the_list_is_broken_for_good_a_delete_ends_and_a_making_repeats() -> None:
    """By id and by name each is found all the same, or known to be gone."""
    broken = TemporaryError("400", reason=Reason.BACKEND_REFUSED)
    magnum = Magnum(unlisted=[broken] * 20)
    first = await provision(magnum)
    assert await provision(magnum, repeated=True) == first
    gone: Command[DeprovisionCluster] = command(
        DeprovisionCluster(cloud="devcloud", cluster_id=None)
    )
    assert await deprovision_cluster(magnum, KIT, Lookout(Server), gone) == (first, [])
    for known in (None, first):
        again: Command[DeprovisionCluster] = command(
            DeprovisionCluster(cloud="devcloud", cluster_id=known)
        )
        assert await deprovision_cluster(magnum, KIT, Lookout(Server), again) is None
    magnum.add(ID, {})
    with pytest.raises(TemporaryError, match="400"):
        await provision(magnum, repeated=True)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, {"begun": True}), (0, {"status": "CREATE_FAILED"}), (100, {}), (-100, {})],
)
async def test_what_magnum_has_not_begun_is_deleted_as_soon_as_it_has(
    seconds: int, state: dict[str, Any]
) -> None:
    """Deleted before, it would be made after all; what it never begins is deleted, too."""
    magnum = Magnum()
    made = datetime.now(UTC).isoformat()
    new = magnum.add(ID, KIT.labels(ID), status="CREATE_IN_PROGRESS", created_at=made, begun=False)
    gone = command(DeprovisionCluster(cloud="devcloud", cluster_id=new.id))
    order = RemoveOrphan(what=CLUSTER, object_id=new.id, place="devcloud", resource_id=ID)
    with pytest.raises(TemporaryError, match="not begun"):
        await deprovision_cluster(magnum, KIT, Lookout(Server), gone)
    with pytest.raises(TemporaryError, match="not begun"):
        await remove_orphan(magnum, KIT, order)
    assert list(magnum.kept) == [new.id]
    then = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    magnum.kept[new.id] = replace(new, created_at=then, **state)
    assert await deprovision_cluster(magnum, KIT, Lookout(Server), gone) == (new.id, [])
    assert magnum.kept == {}


async def test_of_two_that_go_none_is_deleted_before_magnum_has_begun_both() -> None:
    """What the first one leaves behind would be told by nobody."""
    magnum = Magnum()
    made = datetime.now(UTC).isoformat()
    both = [magnum.add(ID, KIT.labels(ID))]
    state = {"status": "CREATE_IN_PROGRESS", "created_at": made, "begun": False}
    both.append(magnum.add(ID, KIT.labels(ID), **state))
    gone = command(DeprovisionCluster(cloud="devcloud", cluster_id=both[0].id))
    with pytest.raises(TemporaryError, match="not begun"):
        await deprovision_cluster(magnum, KIT, Lookout(Server), gone)
    assert list(magnum.kept) == [one.id for one in both]


async def test_a_twin_that_magnum_has_not_begun_waits_for_its_end() -> None:
    """The one that stays is told when there is only one."""
    magnum = Magnum()
    first = magnum.add(ID, KIT.labels(ID))
    made = datetime.now(UTC).isoformat()
    twin = magnum.add(ID, KIT.labels(ID), status="CREATE_IN_PROGRESS", created_at=made, begun=False)
    with pytest.raises(TemporaryError, match="not begun"):
        await provision(magnum, repeated=True)
    magnum.kept[twin.id] = replace(twin, begun=True)
    assert await provision(magnum, repeated=True) == first.id
    assert list(magnum.kept) == [first.id]


async def test_what_is_left_behind_is_told_within_bounds() -> None:
    """A message has its size."""
    magnum = Magnum()
    magnum.add(ID, KIT.labels(ID), api_address="https://c:6443")

    def connect(access: Access) -> Server:
        server = Server(access)
        server.left = [[f"Service default/web-{number}" for number in range(5000)]]
        return server

    gone = command(
        DeprovisionCluster(
            cloud="devcloud", drain=True, draining_since=datetime(2026, 1, 1, tzinfo=UTC)
        )
    )
    found = await deprovision_cluster(magnum, KIT, Lookout(connect), gone)
    assert found is not None
    assert len(found[1]) == 100


@pytest.mark.parametrize("gone", [False, True])
async def test_a_worker_that_died_after_it_ordered_the_end_has_not_hidden_what_was_left(
    gone: bool,
) -> None:
    """The next one sees that it is going, or gone, without any word of what was left."""
    magnum = Magnum()

    def going() -> Any:
        return magnum.add(
            ID, KIT.labels(ID), api_address="https://c:6443", status="DELETE_IN_PROGRESS"
        )

    cluster = going()
    if gone:
        magnum.kept.clear()

    def connect(access: Access) -> Server:
        server = Server(access)
        server.left = [["Service default/web"]]
        return server

    async def deprovision(cluster_id: str | None, since: datetime | None) -> object:
        order = DeprovisionCluster(
            cloud="devcloud", cluster_id=cluster_id, drain=True, draining_since=since
        )
        return await deprovision_cluster(magnum, KIT, Lookout(connect), command(order))

    left = [UNTOLD] if gone else ["Service default/web"]
    assert await deprovision(cluster.id, datetime(2026, 1, 1, tzinfo=UTC)) == (cluster.id, left)
    assert magnum.kept == {}, "what is going is deleted again: the conductor may have forgotten it"
    again = cluster if gone else going()
    in_time = await deprovision(again.id, None)
    assert in_time == (None if gone else (again.id, []))


async def test_only_what_is_the_resources_is_removed_as_an_orphan() -> None:
    """What isn't there any more is removed already."""
    magnum = Magnum()
    theirs = magnum.add(OTHER, KIT.labels(OTHER))

    def order(object_id: str, what: str = "cluster") -> RemoveOrphan:
        return RemoveOrphan(place="devcloud", what=what, object_id=object_id, resource_id=ID)

    with pytest.raises(Refused, match="does not bear the marks"):
        await remove_orphan(magnum, KIT, order(theirs.id))
    with pytest.raises(Refused, match="nothing that could be removed"):
        await remove_orphan(magnum, KIT, order(theirs.id, "server"))
    assert await remove_orphan(magnum, KIT, order("m-9"))
    mine = magnum.add(ID, KIT.labels(ID))
    assert not await remove_orphan(magnum, KIT, order(mine.id))
    assert list(magnum.kept) == [theirs.id]


async def test_a_cluster_of_no_version_that_there_is_is_refused() -> None:
    """Naming those that there are."""
    magnum = Magnum()
    unknown = ProvisionCluster(cloud="devcloud", node_count=2, version="1.21")
    with pytest.raises(NotFound, match=r"there are: 1\.20"):
        await provision(magnum, unknown)
