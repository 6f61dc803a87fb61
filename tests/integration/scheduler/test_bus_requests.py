"""Requests from the bus, under a tenant's own broker user, at the scheduler as a process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiormq
import asyncpg
import pytest
from aiormq.abc import FieldTable

from shared.contract.identifiers import is_id, new_id
from shared.contract.resources import Phase, Verb
from tests.integration.scheduler.neighbours import Neighbours
from tests.support.ci import SPEC, CiSystem, accepted, refused
from tests.support.installation import Installation

CREATE = {"verb": "create", "kind": "vm", "spec": SPEC}


@pytest.fixture
async def ci(scheduled: Installation) -> AsyncIterator[CiSystem]:
    """A CI system of bigtop's."""
    async with CiSystem.of("bigtop", scheduled.amqp_url("bigtop")) as made:
        yield made


@pytest.fixture
async def openlab(scheduled: Installation) -> AsyncIterator[CiSystem]:
    """A CI system of openlab's."""
    async with CiSystem.of("openlab", scheduled.amqp_url("openlab")) as made:
        yield made


async def _dead_letters(scheduled: Installation) -> list[tuple[str, str]]:
    """Body and reason of each."""
    connection = await aiormq.connect(scheduled.admin.admin_amqp_url[0])
    channel = await connection.channel()
    found = []
    while (got := await channel.basic_get("dead_letters")).body or got.delivery_tag:
        if not got.delivery_tag:
            break
        headers = got.header.properties.headers or {}
        found.append((got.body.decode(errors="replace"), str(headers.get("x-colobus-reason"))))
    await connection.close()
    return found


async def test_a_request_by_bus_is_answered_and_becomes_active(
    neighbours: Neighbours, ci: CiSystem
) -> None:
    """The scheduler mints the id; the answer has the resource, and every status its ids."""
    del neighbours
    data = {**CREATE, "name": "web", "labels": {"a": "b"}, "lease_ttl": 60, "deadline": 600}
    answer = await ci.ask(data, id="build-1", correlationid="job-7")
    resource = accepted(answer)
    assert is_id(resource["id"], "vm")
    assert "repeated" not in answer["data"]
    assert (answer["subject"], answer["tenant"]) == (resource["id"], "bigtop")
    assert (answer["correlationid"], answer["causationid"]) == ("job-7", "build-1")
    assert (resource["name"], resource["labels"]) == ("web", {"a": "b"})
    active = await ci.until(resource["id"], "active")
    assert active["lease"]["ttl"] == 60
    about = [one for one in ci.statuses if one["subject"] == resource["id"]]
    assert {one["correlationid"] for one in about} == {"job-7"}
    await ci.do("delete", resource["id"])
    await ci.until(resource["id"], "deleted")


async def test_published_again_it_is_the_same_resource(
    scheduled: Installation, neighbours: Neighbours, ci: CiSystem
) -> None:
    """At once, side by side, later, and when the scheduler has forgotten its inbox."""
    answers = await asyncio.gather(*(ci.ask(CREATE, id="once") for _ in range(8)))
    ids = {accepted(answer)["id"] for answer in answers}
    assert len(ids) == 1
    assert sorted(answer["data"].get("repeated", False) for answer in answers)[:2] == [False, True]
    [vm] = ids
    await ci.until(vm, "active")
    dsn = scheduled.environment("scheduler")["COLOBUS_DATABASE_DSN"]
    connection = await asyncpg.connect(dsn)
    await connection.execute("DELETE FROM inbox")
    await connection.close()
    again = await ci.ask(CREATE, id="once")
    assert again["data"]["repeated"] is True
    assert accepted(again)["id"] == vm
    assert accepted(again)["status"]["phase"] == "active"
    elsewhere = await ci.ask(CREATE, id="once", source="/ci/other")
    assert accepted(elsewhere)["id"] != vm
    for one in (vm, accepted(elsewhere)["id"]):
        await ci.do("delete", one)
        await neighbours.until(one, Phase.DELETED)


async def test_the_same_id_for_another_request_is_refused(
    neighbours: Neighbours, ci: CiSystem
) -> None:
    """Else a delete under the create's id would be answered as the create was, and never done."""
    vm = accepted(await ci.ask(CREATE, id="job-1"))["id"]
    data = {"verb": "delete", "kind": "vm", "resource_id": vm}
    problem = refused(await ci.ask(data, id="job-1"))
    assert (problem["status"], problem["reason"]) == (422, "request_id_reused")
    accepted(await ci.ask(data, id="job-1-delete"))
    again = await ci.ask(data, id="job-1-delete")
    assert again["data"]["repeated"] is True
    await neighbours.until(vm, Phase.DELETED)


async def test_killed_at_any_time_a_request_is_one_resource(
    scheduled: Installation, neighbours: Neighbours, ci: CiSystem
) -> None:
    """Kill -9 while requests come in: each is answered in the end, with one resource for each."""
    names = [f"kill-{number}" for number in range(30)]
    correlations = [await ci.publish(CREATE, id=name, labels=None) for name in names[:10]]
    scheduled.kill("scheduler")
    correlations += [await ci.publish(CREATE, id=name) for name in names[10:]]
    scheduled.start("scheduler")
    vms = {accepted(await ci.answer(correlation))["id"] for correlation in correlations}
    assert len(vms) == len(names)
    again = await asyncio.gather(*(ci.ask(CREATE, id=name) for name in names))
    assert {accepted(answer)["id"] for answer in again} == vms
    assert all(answer["data"]["repeated"] for answer in again)
    await asyncio.gather(*(ci.do("delete", vm) for vm in vms))
    for vm in vms:
        await neighbours.until(vm, Phase.DELETED)
    assert len({c.envelope.subject for c in neighbours.commands} - vms) == 0


async def test_no_tenant_can_take_the_front_doors_ids(neighbours: Neighbours, ci: CiSystem) -> None:
    """Under the front door's own source and id, a tenant's request is still another message."""
    taken = f"once-{new_id('vm')}"
    own = accepted(await ci.ask(CREATE, id=taken, source="/front_door/test"))["id"]
    vm = new_id("vm")
    await neighbours.request(Verb.CREATE, vm, id=taken, spec=SPEC)
    await neighbours.until(vm, Phase.ACTIVE)
    for one in (own, vm):
        await ci.do("delete", one)
        await neighbours.until(one, Phase.DELETED)


async def test_what_came_by_http_can_be_changed_by_bus(
    neighbours: Neighbours, ci: CiSystem
) -> None:
    """Labels, lease, power, delete: the resource is the tenant's, however it was asked for."""
    vm = await neighbours.create(labels={"by": "http"}, lease_ttl=60)
    await neighbours.until(vm, Phase.ACTIVE)
    assert (await ci.do("update", vm, labels={"by": "bus"}))["labels"] == {"by": "bus"}
    assert (await ci.do("extend", vm, lease_ttl=600))["lease"]["ttl"] == 600
    neighbours.auto = False
    [operation] = (await ci.do("reboot", vm))["status"]["operations"]
    assert (operation["verb"], operation["id"][:3]) == ("reboot", "op-")
    await neighbours.command(vm, "ChangeVmPower")
    neighbours.auto = True
    await ci.do("delete", vm)
    await neighbours.until(vm, Phase.DELETED)
    problem = refused(
        await ci.ask({"verb": "extend", "kind": "vm", "resource_id": vm, "lease_ttl": 5})
    )
    assert (problem["status"], problem["reason"]) == (409, "wrong_phase")


async def test_a_refusal_names_every_fault_and_is_kept_without_the_secret(
    scheduled: Installation, ci: CiSystem
) -> None:
    """The sender gets the problem; the dead letters get the message with its reason."""
    spec = {"flavor": "small", "user_data": "hunter2", "falvor": 1}
    problem = refused(await ci.ask({**CREATE, "spec": spec, "name": "a b"}, id="faulty"))
    assert (problem["status"], problem["reason"]) == (422, "bad_fields")
    assert {error["pointer"] for error in problem["errors"]} == {
        "/data/name",
        "/data/spec/image",
        "/data/spec/falvor",
        "/data/spec/user_data",
    }
    [(body, reason)] = [d for d in await _dead_letters(scheduled) if '"faulty"' in d[0]]
    assert "/data/spec/image" in reason
    assert "hunter2" not in body + reason
    assert json.loads(body)["data"]["spec"]["falvor"] == "(left out)"


async def test_garbage_is_answered_where_there_is_an_address(ci: CiSystem) -> None:
    """With the codec's words, and all faults where it is JSON."""
    garbage = await ci.ask(CREATE, body=b"garbage")
    assert refused(garbage)["reason"] == "undecodable"
    assert "correlationid" not in garbage
    misspelt = refused(await ci.ask({**CREATE, "verb": "crate", "name": 5}))
    pointers = {error["pointer"] for error in misspelt["errors"]}
    assert pointers == {"/data/verb", "/data/name"}


async def test_nobody_asks_for_another_tenant(
    neighbours: Neighbours, ci: CiSystem, openlab: CiSystem
) -> None:
    """Not by the tenant attribute, nor by the id of what is another's: that isn't there at all."""
    problem = refused(await openlab.ask(CREATE, tenant="bigtop"))
    assert (problem["status"], problem["reason"]) == (403, "forbidden")
    vm = await ci.create()
    await neighbours.until(vm, Phase.ACTIVE)
    for resource_id in (vm, new_id("vm")):
        data = {"verb": "delete", "kind": "vm", "resource_id": resource_id}
        answer = refused(await openlab.ask(data))
        assert (answer["status"], answer["detail"]) == (404, "there is no such resource")
    await ci.do("delete", vm)
    await neighbours.until(vm, Phase.DELETED)


async def test_without_a_user_id_nothing_is_done(
    scheduled: Installation, neighbours: Neighbours, ci: CiSystem
) -> None:
    """It goes to the dead letters, and is answered nowhere: an own queue is its user's only."""
    correlation = await ci.publish(CREATE, id="anonymous", user_id=None)
    await neighbours.settle()
    assert correlation not in ci.answers
    reasons = [reason for body, reason in await _dead_letters(scheduled) if '"anonymous"' in body]
    assert len(reasons) == 1
    assert "user_id" in reasons[0]


async def test_a_reply_address_is_the_askers_own_or_nobodys(
    scheduled: Installation, neighbours: Neighbours, ci: CiSystem, openlab: CiSystem
) -> None:
    """The request is done all the same; nothing arrives where the asker may not write."""
    for address in (openlab.queue, "scheduler.requests", "dead_letters", "nowhere", ""):
        await ci.publish(CREATE, id=f"to {address}", correlation_id="stray", reply_to=address)
    await neighbours.settle()
    assert "stray" not in openlab.answers
    assert not [d for d in await _dead_letters(scheduled) if "RequestAccepted" in d[0]]
    again = [await ci.ask(CREATE, id=f"to {a}") for a in (openlab.queue, "nowhere")]
    assert all(answer["data"]["repeated"] for answer in again)


async def test_direct_reply_to_works_too(scheduled: Installation, neighbours: Neighbours) -> None:
    """No queue of one's own is needed to be answered."""
    del neighbours
    url = scheduled.amqp_url("bigtop")
    async with CiSystem.of("bigtop", url) as ci:
        channel = await ci.channel()
        await channel.basic_consume("amq.rabbitmq.reply-to", ci._take, no_ack=True)
        ci._channel = channel
        answer = await ci.ask(CREATE, reply_to="amq.rabbitmq.reply-to")
        await ci.do("delete", accepted(answer)["id"])


async def test_a_full_reply_queue_holds_nobody_up(
    scheduled: Installation, neighbours: Neighbours, ci: CiSystem
) -> None:
    """Its answers are lost, its requests done, and others are answered as ever."""
    channel = await ci.channel()
    full = f"{ci.user}.full"
    arguments: FieldTable = {"x-max-length": 0, "x-overflow": "reject-publish"}
    await channel.queue_declare(full, auto_delete=True, arguments=arguments)
    for number in range(20):
        await ci.publish(CREATE, id=f"full-{number}", reply_to=full)
    vm = await ci.create()
    await neighbours.until(vm, Phase.ACTIVE)
    again = await asyncio.gather(*(ci.ask(CREATE, id=f"full-{n}") for n in range(20)))
    assert all(answer["data"]["repeated"] for answer in again)
    for one in [vm, *(accepted(answer)["id"] for answer in again)]:
        await ci.do("delete", one)
        await neighbours.until(one, Phase.DELETED)
    await channel.queue_delete(full)
    assert scheduled.processes["scheduler"].poll() is None
