"""Streams go on where they broke off; without streams, waiting works by long polls."""

from __future__ import annotations

import time
from contextlib import aclosing

import pytest

from colobus import Client, NotFound, Phase, ResourceEnded, Unreachable, WaitTimeout, watching
from colobus.models import Problem, Reason, Resource
from tests.integration.client.scripted import (
    VM,
    Answer,
    Scripted,
    drops,
    event,
    problem,
    says,
    streams,
    vm,
)
from tests.support.waiting import waited

REQUESTED, BUILDING, ACTIVE = (
    vm(Phase.REQUESTED, 1),
    vm(Phase.PROVISIONING, 2),
    vm(Phase.ACTIVE, 3),
)
DELETED = vm(Phase.DELETED, 5)
PATH, EVENTS = f"/v1/vms/{VM}", f"/v1/vms/{VM}/events"


async def revisions(client: Client) -> list[int]:
    """Watch to the end."""
    async with aclosing(client.watch(VM)) as changes:
        return [resource.revision async for resource in changes]


async def test_a_broken_stream_goes_on_after_the_last_event(door: Scripted, client: Client) -> None:
    """Last-Event-ID names the last whole event; half of one doesn't count."""
    half = event(ACTIVE)[:-1]
    door.on("GET", "/v1/events", streams(event(REQUESTED), event(BUILDING) + half))
    door.on("GET", "/v1/events", drops, problem(503), streams(event(ACTIVE), breaks=False))
    got: list[int | None] = []
    async with aclosing(client.events()) as stream:
        async for told in stream:
            got.append(told.revision)
            if told.revision == 3:
                break
    assert got == [1, 2, 3]
    assert door.headers("Last-Event-ID") == [None, "2", "2", "2"]


async def test_a_stream_begins_after_a_given_event(door: Scripted, client: Client) -> None:
    """A program that was restarted goes on where its predecessor was."""
    door.on("GET", "/v1/events", streams(event(ACTIVE), breaks=False))
    async with aclosing(client.events(after="2")) as stream:
        assert (await anext(stream)).id == "3"
    assert door.headers("Last-Event-ID") == ["2"]


async def test_a_quiet_stream_that_breaks_is_opened_again(door: Scripted) -> None:
    """Heartbeats are a sign of life: the time for retries begins where the stream broke."""
    quiet = [": opened\n\n", *[": heartbeat\n\n"] * 8]
    door.on("GET", "/v1/events", streams(*quiet, apart=0.1), drops)
    door.on("GET", "/v1/events", streams(event(ACTIVE), breaks=False))
    async with (
        Client(door.url, token="t0k3n", retry_for=0.6) as client,
        aclosing(client.events()) as stream,
    ):
        assert (await anext(stream)).revision == 3


async def test_a_server_that_ends_each_stream_is_not_asked_for_ever(door: Scripted) -> None:
    """What opens and ends at once is no stream, however often it opens."""
    door.on("GET", "/v1/events", streams(": opened\n\n"))
    async with (
        Client(door.url, token="t0k3n", retry_for=0.6) as client,
        aclosing(client.events()) as stream,
    ):
        with pytest.raises(Unreachable):
            await anext(stream)
    assert len(door.seen) > 1


async def test_watching_gives_each_revision_once(door: Scripted, client: Client) -> None:
    """The state at the beginning, what the stream replays and what is new overlap."""
    door.on("GET", PATH, says(BUILDING))
    told = map(event, (REQUESTED, BUILDING, ACTIVE, DELETED))
    door.on("GET", EVENTS, streams(*told, breaks=False))
    assert await revisions(client) == [2, 3, 5]


async def test_what_happened_while_the_stream_was_broken_is_seen(
    door: Scripted, client: Client
) -> None:
    """After each opening the resource is read, so even a server that replays nothing is enough."""
    door.on("GET", PATH, says(REQUESTED), says(DELETED))
    door.on("GET", EVENTS, streams(), streams(breaks=False))
    assert await revisions(client) == [1, 5]


@pytest.mark.parametrize("no_stream", [says({}), says("<html>", 200)])
async def test_without_streams_watching_polls(
    door: Scripted, client: Client, no_stream: Answer
) -> None:
    """A proxy that doesn't let streams through makes waiting slower, not impossible."""
    door.on("GET", EVENTS, no_stream)
    not_modified = says(None, 304)
    door.on("GET", PATH, says(REQUESTED, ETag='"1"'), not_modified, says(DELETED, ETag='"5"'))
    assert await revisions(client) == [1, 5]
    assert door.headers("If-None-Match")[1:] == [None, '"1"', '"1"']
    assert door.headers("Prefer")[2] == "wait=30"


async def test_a_server_that_does_not_hold_polls_is_not_stormed(
    door: Scripted, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the wish to wait is ignored, it is the client that waits between its questions."""
    monkeypatch.setattr(watching, "SHORTEST", 0.1)
    door.on("GET", EVENTS, says({}))
    nothing_new = [says(None, 304) for _ in range(3)]
    door.on("GET", PATH, says(REQUESTED, ETag='"1"'), *nothing_new, says(DELETED, ETag='"5"'))
    began = time.monotonic()
    assert await revisions(client) == [1, 5]
    assert time.monotonic() - began >= 0.3


async def test_waiting_returns_the_resource_in_the_phase(door: Scripted, client: Client) -> None:
    """Active is the default to wait for."""
    door.on("GET", PATH, says(REQUESTED))
    door.on("GET", EVENTS, streams(event(BUILDING), event(ACTIVE), breaks=False))
    assert await client.wait(VM) == ACTIVE


async def test_waiting_for_deletion_passes_through_failed(door: Scripted, client: Client) -> None:
    """What has failed can still be deleted."""
    door.on("GET", PATH, says(vm(Phase.FAILED, 4)))
    door.on("GET", EVENTS, streams(event(DELETED), breaks=False))
    assert (await client.wait(VM, until="deleted")).revision == 5


async def test_waiting_goes_on_when_the_stream_is_over(door: Scripted, client: Client) -> None:
    """The stream of a failed resource ends with it; its deletion is still to come."""
    failed = vm(Phase.FAILED, 4)
    door.on("GET", PATH, says(failed), says(failed, ETag='"4"'), says(DELETED, ETag='"5"'))
    door.on("GET", EVENTS, streams(event(failed)), says(None, 204))
    assert (await client.wait(VM, until="deleted")).revision == 5


async def test_the_events_of_one_resource_end_with_it(door: Scripted, client: Client) -> None:
    """The server says that there is nothing more to come."""
    door.on("GET", EVENTS, streams(event(DELETED)), says(None, 204))
    assert [told.revision async for told in client.events(VM)] == [5]


async def test_waiting_for_what_fails_raises_with_the_reason(
    door: Scripted, client: Client
) -> None:
    """The error says what the backend said."""
    error = Problem(title="No host", detail="No valid host was found", retryable=True)
    failed = vm(Phase.FAILED, 4, reason=Reason.NO_VALID_HOST, error=error)
    door.on("GET", PATH, says(failed))
    door.on("GET", EVENTS, streams(breaks=False))
    with pytest.raises(ResourceEnded, match="No valid host was found") as caught:
        await client.wait(VM)
    assert caught.value.resource == failed


async def test_waiting_ends_when_its_time_is_over(door: Scripted, client: Client) -> None:
    """The error has the resource as it was last seen."""
    door.on("GET", PATH, says(BUILDING))
    door.on("GET", EVENTS, streams(breaks=False))
    with pytest.raises(WaitTimeout) as caught:
        await client.wait(VM, timeout=2)
    assert caught.value.resource == BUILDING


async def test_watching_what_is_not_there_is_not_found(door: Scripted, client: Client) -> None:
    """There is nothing to wait for."""
    door.on("GET", EVENTS, problem(404))
    with pytest.raises(NotFound):
        await client.wait(VM)


async def test_a_list_goes_through_all_pages(door: Scripted, client: Client) -> None:
    """The cursor of a page leads to the next one, with the same filters."""
    pages: list[Resource] = []
    first = says({"items": [REQUESTED], "next": "c2"})
    door.on("GET", "/v1/vms", first, says({"items": [ACTIVE]}))
    async for resource in client.list("vm", phases=[Phase.ACTIVE], labels={"job": "7"}):
        pages.append(resource)
    assert pages == [REQUESTED, ACTIVE]


async def test_our_own_tests_say_what_a_vm_was_waiting_for(door: Scripted, client: Client) -> None:
    """When a VM takes too long, its steps are in the failure's text, with the cloud's words."""
    error = Problem(title="No host", detail="No valid host was found", retryable=True)
    late = vm(Phase.PROVISIONING, 2, error=error)
    door.on("GET", PATH, says(late))
    door.on("GET", EVENTS, streams(event(late), breaks=False))
    with pytest.raises(AssertionError, match=r"(?s)vm_worker.*No valid host was found"):
        await waited(client, VM, timeout=2)
