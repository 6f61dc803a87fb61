"""What Magnum's answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from services.k8s_worker import finding
from services.k8s_worker.backend import NewCluster
from services.k8s_worker.kit import Kit
from services.k8s_worker.magnum_calls import MagnumProject
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.openstack.connections import ProjectConnection
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, TemporaryError
from shared.worker.errors import NotFound, Refused
from shared.worker.marks import Marks

KIT = Kit(Marks("test", "k8s_worker"), ())
NEW = NewCluster(name="cluster-1", template_id="t-1", node_count=1, master_count=1, labels={})


async def refusal(answer: Refused) -> Refused:
    """What is made of an answer to the making of a cluster."""

    async def calls(*_: Any, **__: Any) -> Any:
        raise answer

    with pytest.raises(Refused) as refused:
        await MagnumProject("devcloud", "bigtop", cast(Calls, calls)).create_cluster(NEW)
    return refused.value


async def test_a_template_that_is_gone_is_told_by_400_too() -> None:
    """Somebody may just have removed it: that passes, where another one is made."""
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


class Answering:
    """A cloud whose Magnum has one answer to everything."""

    def __init__(self, status: int, answer: str | dict[str, Any]) -> None:
        self.response = requests.Response()
        self.response.status_code = status
        self.response.url = "http://magnum/v1/certificates"
        self.response.headers["Content-Type"] = "application/json"
        fault = {"errors": [{"detail": answer}]}
        self.response._content = json.dumps(fault if isinstance(answer, str) else answer).encode()
        self.config = SimpleNamespace(get_session_client=lambda _: self)

    def ready(self) -> Any:
        return self

    def get(self, path: str, **_: Any) -> Any:
        return self.response

    def delete(self, path: str) -> Any:
        return self.response

    def post(self, path: str, json: Any) -> Any:
        return self.response


@contextmanager
def answering(status: int, answer: str | dict[str, Any]) -> Iterator[MagnumProject]:
    """A project whose Magnum has one answer to everything; a text is that of a fault."""
    connection = cast(ProjectConnection, Answering(status, answer))
    with ThreadPoolExecutor(1) as pool:
        calls = Calls(connection, pool, Deadline.after(60), "p")
        yield MagnumProject("devcloud", "bigtop", calls)


async def test_a_cluster_is_gone_when_magnum_says_so_of_the_cluster() -> None:
    """Not when it lacks its template, whose name is in the 404 then: it is there, and runs."""
    with answering(404, "Cluster m-1 could not be found.") as project:
        assert await project.cluster("m-1") is None
        assert await project.delete_cluster("m-1") is False
    with answering(404, "ClusterTemplate c08b59ae could not be found.") as project:
        for asked in (project.cluster("m-1"), project.delete_cluster("m-1"), project.clusters()):
            with pytest.raises(TemporaryError, match="ClusterTemplate c08b59ae") as fault:
                await asked
            assert fault.value.reason == Reason.BACKEND_REFUSED


@pytest.mark.parametrize("words", ["404 page not found", "The resource could not be found."])
async def test_a_404_that_is_not_magnums_says_nothing_of_a_cluster(words: str) -> None:
    """A proxy's, or (`webob.exc`) of a wrong endpoint: all clusters would be gone."""
    with answering(404, words) as project:
        for asked in (project.cluster("m-1"), project.delete_cluster("m-1"), project.clusters()):
            with pytest.raises(BackendUnavailable, match=words):
                await asked
        with pytest.raises(BackendUnavailable):
            await finding.clusters_of(project, KIT, "c-1", "m-1")


@pytest.mark.parametrize(("stack", "begun"), [(None, False), ("", False), ("stack-1", True)])
async def test_a_cluster_has_begun_when_its_driver_has_said_what_it_makes(
    stack: str | None, begun: bool
) -> None:
    """Until then Magnum's conductor is before it."""
    shown = {"uuid": "m-1", "name": "c", "stack_id": stack}
    with answering(200, shown) as project:
        cluster = await project.cluster("m-1")
    assert cluster is not None
    assert cluster.begun is begun


async def certificate_fault(status: int, words: str) -> list[TemporaryError]:
    """What is made of an answer to both questions about certificates."""
    found = []
    with answering(status, words) as project:
        for asked in (project.authority("m-1"), project.signed("m-1", "csr")):
            with pytest.raises(TemporaryError) as fault:
                await asked
            assert words in fault.value.detail
            found.append(fault.value)
    return found


async def test_that_an_authority_can_not_be_read_is_magnums_word_and_no_outage() -> None:
    """It answers 500 for whatever its conductor raises."""
    for fault in await certificate_fault(500, "Secret payload retrieval failed"):
        assert fault.reason == Reason.BACKEND_REFUSED


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "Timed out waiting for a reply to message ID 1f"), (503, "No server"), (504, "late")],
)
async def test_that_nobody_signs_now_is_an_outage(status: int, words: str) -> None:
    """The API may answer while the conductor is away."""
    for fault in await certificate_fault(status, words):
        assert isinstance(fault, BackendUnavailable)
