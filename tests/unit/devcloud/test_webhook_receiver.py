"""The demo's subscriber keeps what it gets and shows it to whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from devcloud.webhook_receiver import application

Receiver = TestClient[web.Request, web.Application]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An empty receiver."""
    async with TestClient(TestServer(application())) as client:
        yield client


async def shown(receiver: Receiver, **query: str) -> list[tuple[int, str, str]]:
    """What is shown: number, path and body."""
    response = await receiver.get("/deliveries", params=query)
    return [(hook["number"], hook["path"], hook["body"]) for hook in await response.json()]


async def test_what_was_received_is_shown_as_it_came(receiver: Receiver) -> None:
    """Body and headers are what the signature is about."""
    await receiver.post("/hooks/a", data=b'{"subject":"vm-1"}', headers={"Webhook-Id": "m1"})
    (hook,) = await (await receiver.get("/deliveries")).json()
    assert (hook["body"], hook["headers"]["webhook-id"]) == ('{"subject":"vm-1"}', "m1")


async def test_hooks_are_found_by_resource_and_number(receiver: Receiver) -> None:
    """A reader asks for what is newer than what it has."""
    for body in ('{"subject":"vm-1"}', '{"subject":"vm-2"}', "garbage", '{"subject":"vm-1"}'):
        await receiver.post("/hooks/a", data=body)
    assert [number for number, *_ in await shown(receiver, resource="vm-1")] == [1, 4]
    assert [number for number, *_ in await shown(receiver, resource="vm-1", after="1")] == [4]
    assert await shown(receiver, resource="vm-3") == []


async def test_a_reader_can_wait_for_the_next(receiver: Receiver) -> None:
    """It is answered when a hook about its resource comes, not before."""
    waiting = asyncio.create_task(shown(receiver, resource="vm-2", wait="20"))
    await receiver.post("/hooks/a", data='{"subject":"vm-1"}')
    await receiver.post("/hooks/b", data='{"subject":"vm-2"}')
    assert await waiting == [(2, "/hooks/b", '{"subject":"vm-2"}')]
