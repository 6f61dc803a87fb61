"""The same request, however often and however it comes, is one VM."""

from __future__ import annotations

import asyncio

import aiohttp

from colobus.client import Client
from colobus.models import Phase
from tests.support.cloud import Cloud
from tests.support.installation import Installation

BODY = {"image": "debian-12", "flavor": "small"}
#: What one test asks for, so that what another has left behind is not counted.
LOST = {"test": "lost-answer"}


async def _post(
    session: aiohttp.ClientSession, key: str, body: object
) -> tuple[int, dict[str, str]]:
    async with session.post("/v1/vms", json=body, headers={"Idempotency-Key": key}) as response:
        return response.status, await response.json()


def _session(colobus: Installation) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {colobus.tokens['bigtop']}"}
    return aiohttp.ClientSession(colobus.url, headers=headers)


async def test_one_key_is_one_vm_also_concurrently(
    colobus: Installation, cloud: Cloud, bigtop: Client
) -> None:
    """Ten at once and one later get the same resource; the cloud holds one server."""
    async with _session(colobus) as session:
        answers = await asyncio.gather(*(_post(session, "ten-at-once", BODY) for _ in range(10)))
        assert {status for status, _ in answers} == {202}
        (vm,) = {body["id"] for _, body in answers}
        await bigtop.wait(vm, timeout=120)
        status, again = await _post(session, "ten-at-once", BODY)
        assert (status, again["id"]) == (202, vm)
    assert cloud.holds(vm).counts == (1, 1, 0)
    await bigtop.delete(vm)
    await bigtop.wait(vm, Phase.DELETED, timeout=120)


async def test_one_key_is_one_vm_also_when_the_answer_was_lost(
    colobus: Installation, cloud: Cloud, bigtop: Client
) -> None:
    """The asker hangs up before the answer, and the front door is killed; it asks again."""
    asked = {**BODY, "labels": LOST}
    async with _session(colobus) as session:
        lost = asyncio.ensure_future(_post(session, "lost-answer", asked))
        await asyncio.wait({lost}, timeout=0.02)
        lost.cancel()
        await asyncio.wait({lost})
    colobus.kill("front_door")
    colobus.start("front_door")
    async with _session(colobus) as session:
        status, body = await _post(session, "lost-answer", asked)
        assert status == 202
    await bigtop.wait(body["id"], timeout=120)
    assert cloud.holds(body["id"]).counts == (1, 1, 0)
    everything = [one.id async for one in bigtop.list("vm", labels=LOST)]
    assert everything == [body["id"]]
    await bigtop.delete(body["id"])
    await bigtop.wait(body["id"], Phase.DELETED, timeout=120)


async def test_one_key_with_another_body_is_refused(colobus: Installation, bigtop: Client) -> None:
    """422, and the first request is not touched."""
    async with _session(colobus) as session:
        status, first = await _post(session, "two-bodies", BODY)
        assert status == 202
        status, problem = await _post(session, "two-bodies", {**BODY, "flavor": "medium"})
        assert status == 422, problem
    assert (await bigtop.get(first["id"])).spec["flavor"] == "small"
    await bigtop.delete(first["id"])
    await bigtop.wait(first["id"], Phase.DELETED, timeout=120)
