"""The same by bus as by HTTP: the recipe's own script, and one tenant's things from both sides."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from colobus.client import Client
from colobus.models import CreateVm, OperationState, Phase
from tests.support.ci import SPEC, CiSystem, refused, shown
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import ROOT, Installation
from tests.support.proxy import Proxy
from tests.support.webhooks import Receiver

SCRIPT = ROOT / "docs" / "examples" / "request_vm.py"
SMALL = ("--image", "debian-12", "--flavor", "small")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiUmVJjTTUgkLHEqkQqGvJcTxJdmOZpqFaXhVn5xJXo ci"
#: What the job does with its machine: looks at it by HTTP, and shows what the script told it.
JOB = """
import json, os, urllib.request
url = os.environ["COLOBUS_URL"] + "/v1/vms/" + os.environ["VM_ID"]
asked = urllib.request.Request(url, headers={"Authorization": "Bearer " + os.environ["TOKEN"]})
with urllib.request.urlopen(asked) as answer:
    print(json.dumps({"address": os.environ["VM_ADDRESS"], "vm": json.load(answer)}))
"""


@pytest.fixture
async def ci(colobus: Installation) -> AsyncIterator[CiSystem]:
    """A CI system of bigtop's."""
    async with CiSystem.of("bigtop", colobus.amqp_url("bigtop")) as made:
        yield made


async def _start(
    colobus: Installation, *arguments: str, url: str | None = None, tenant: str = "bigtop"
) -> asyncio.subprocess.Process:
    """Run the script as a CI job would: by itself, knowing nothing of this checkout."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", str(SCRIPT), *arguments),
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "COLOBUS_AMQP_URL": url or colobus.amqp_url("bigtop"),
            "COLOBUS_TENANT": tenant,
            "COLOBUS_URL": colobus.url,
            "TOKEN": colobus.tokens["bigtop"],
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _run(colobus: Installation, *arguments: str, **how: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error."""
    process = await _start(colobus, *arguments, **how)
    async with asyncio.timeout(240):
        out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def test_the_recipes_script_gets_a_machine_and_gives_it_back(
    colobus: Installation, cloud: Cloud, bigtop: Client, tmp_path: Path
) -> None:
    """Address on standard output, the job's exit code, the machine seen by HTTP, nothing left."""
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "user-data").write_text("#cloud-config\n{}\n")
    headers = {"Authorization": f"Bearer {colobus.tokens['bigtop']}"}
    async with aiohttp.ClientSession(colobus.url, headers=headers) as session:
        catalog = await (await session.get("/v1/catalog")).json()
    code, out, errors = await _run(
        colobus,
        *(*SMALL, "--floating-ip", "--name", "recipe", "--label", "job=4711"),
        *("--ssh-key", str(tmp_path / "key"), "--user-data", str(tmp_path / "user-data")),
        *("--sealing-key", catalog["sealing_public_keys"]["vm_worker"]),
        *("--", sys.executable, "-c", JOB + "raise SystemExit(7)"),
    )
    assert code == 7, errors
    address, shown = out.splitlines()
    seen = json.loads(shown)
    assert seen["address"] == address == seen["vm"]["status"]["outputs"]["floating_ip"]
    assert ipaddress.ip_address(address)
    assert (seen["vm"]["name"], seen["vm"]["labels"]) == ("recipe", {"job": "4711"})
    assert seen["vm"]["status"]["phase"] == "active"
    assert (await bigtop.get(seen["vm"]["id"])).status.phase is Phase.DELETED
    assert cloud.holds(seen["vm"]["id"]).counts == NOTHING


@pytest.mark.parametrize(
    ("arguments", "tenant", "words"),
    [
        (("--image", "debian-12", "--flavor", "colossal"), "bigtop", "colossal"),
        ((*SMALL, "--name", "a b", "--lease", "0"), "bigtop", "/data/name: "),
        (SMALL, "openlab", "ACCESS_REFUSED"),
    ],
    ids=["what the cloud doesn't have", "what isn't right", "what isn't allowed"],
)
async def test_the_recipes_script_says_why_there_is_no_machine(
    colobus: Installation, arguments: tuple[str, ...], tenant: str, words: str
) -> None:
    """Exit code 1, the reason on standard error, nothing on standard output."""
    code, out, errors = await _run(colobus, *arguments, tenant=tenant)
    assert (code, out) == (1, ""), errors
    assert words in errors.splitlines()[-1]


async def test_the_recipes_script_survives_lost_connections(
    colobus: Installation, cloud: Cloud, bigtop: Client
) -> None:
    """Cut off after each piece of news, it comes again, and it is still one machine."""
    async with Proxy.to(colobus.amqp_url("bigtop")) as proxy:
        process = await _start(
            colobus, *SMALL, "--label", "job=cut", url=proxy.instead_of(colobus.amqp_url("bigtop"))
        )
        assert process.stderr is not None
        news = set()
        async for line in process.stderr:
            if line.startswith(b"vm-"):
                news.add(line.split()[0])
                await proxy.cut()
        async with asyncio.timeout(240):
            assert await process.wait() == 0
    assert proxy.accepted > 2
    made = [vm async for vm in bigtop.list("vm", labels={"job": "cut"}, phases=list(Phase))]
    assert {vm.id.encode() for vm in made} == news
    assert [vm.status.phase for vm in made] == [Phase.DELETED]
    assert cloud.holds(made[0].id).counts == NOTHING


async def test_a_cancelled_job_gives_its_machine_back(
    colobus: Installation, cloud: Cloud, bigtop: Client
) -> None:
    """SIGTERM in the middle of the job: deleted, then it ends."""
    process = await _start(colobus, *SMALL, "--label", "job=cancelled", "--", "sleep", "600")
    assert process.stdout is not None
    async with asyncio.timeout(240):
        assert await process.stdout.readline()
        process.terminate()
        await process.communicate()
    assert process.returncode == 143
    [vm] = [vm async for vm in bigtop.list("vm", labels={"job": "cancelled"}, phases=list(Phase))]
    assert vm.status.phase is Phase.DELETED
    assert cloud.holds(vm.id).counts == NOTHING


async def _until_said(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Wait until the script has said this on standard error."""
    assert process.stderr is not None
    async for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


async def _made(client: Client, job: str) -> list[str]:
    every = list(Phase)
    return [vm.id async for vm in client.list("vm", labels={"job": job}, phases=every)]


@pytest.mark.parametrize("confirmed", [True, False], ids=["confirmed", "without a confirm"])
async def test_a_job_cancelled_before_it_is_answered_leaves_no_machine(
    colobus: Installation, cloud: Cloud, bigtop: Client, confirmed: bool
) -> None:
    """SIGTERM while the scheduler is down: the script waits for the answer, and then deletes."""
    job = f"cancelled-early-{confirmed}"
    url = colobus.amqp_url("bigtop")
    colobus.stop("scheduler")
    async with Proxy.to(url) as proxy:
        proxy.holds_after = None if confirmed else b"org.colobus.RequestSubmitted.v1"
        arguments = (*SMALL, "--label", f"job={job}", "--id", job)
        process = await _start(colobus, *arguments, url=proxy.instead_of(url))
        if confirmed:
            await _until_said(process, f"asked for {job}".encode())
            process.terminate()
        else:

            async def on_its_way() -> bool:
                return proxy.holds

            await eventually(on_its_way, what="the request is published, its confirm held back")
            process.terminate()
            await proxy.cut()
            proxy.release()
        await _until_said(process, b"no answer yet")
        colobus.start("scheduler")
        async with asyncio.timeout(240):
            _, errors = await process.communicate()
    assert process.returncode == 143, errors.decode()
    [vm] = await _made(bigtop, job)
    assert (await bigtop.get(vm)).status.phase is Phase.DELETED
    assert cloud.holds(vm).counts == NOTHING


async def test_a_second_signal_gives_up_and_says_what_is_left(
    colobus: Installation, bigtop: Client
) -> None:
    """At once; what was asked for is made all the same, and its lease is its end."""
    colobus.stop("scheduler")
    process = await _start(colobus, *SMALL, "--label", "job=given-up", "--lease", "60")
    await _until_said(process, b"asked for ")
    process.terminate()
    await _until_said(process, b"no answer yet")
    process.send_signal(signal.SIGINT)
    await _until_said(process, b"given up; if there is a machine, it lives until its lease ends")
    assert await process.wait() == 128 + signal.SIGINT
    colobus.start("scheduler")

    async def gone() -> bool:
        made = await _made(bigtop, "given-up")
        return len(made) == 1 and (await bigtop.get(made[0])).status.phase is Phase.DELETED

    await eventually(gone, within=240, what="the machine has been made, and its lease has ended")


async def test_what_was_made_by_bus_is_there_by_http(
    cloud: Cloud, bigtop: Client, ci: CiSystem, receiver: Receiver
) -> None:
    """Read, listed, streamed, told by webhook, rebooted and deleted like any other."""
    url = receiver.url("/bus")
    vm = await ci.create(labels={"by": "bus"}, lease_ttl=600, callback_url=url)
    await shown(bigtop, vm)
    phases = []
    async with aclosing(bigtop.events(vm)) as events:
        async for event in events:
            if event.resource is not None:
                phases.append(event.resource.status.phase)
                if phases[-1] is Phase.ACTIVE:
                    break
    assert (await bigtop.get(vm)).lease is not None
    assert [one.id async for one in bigtop.list("vm", labels={"by": "bus"})] == [vm]
    await bigtop.reboot(vm)

    async def rebooted() -> bool:
        operations = (await bigtop.get(vm)).status.operations
        return bool(operations) and operations[-1].state is OperationState.DONE

    await eventually(rebooted, what="the reboot is done")
    await bigtop.delete(vm)
    await ci.until(vm, "deleted", within=120)
    await receiver.until(lambda: any(r.phase == "deleted" for r in receiver.at("/bus")))
    secret = await bigtop.webhooks.callback_secret()
    assert all(told.is_signed_with(secret) for told in receiver.at("/bus"))
    assert cloud.holds(vm).counts == NOTHING


async def test_what_was_made_by_http_can_be_changed_by_bus(
    cloud: Cloud, bigtop: Client, ci: CiSystem
) -> None:
    """Labels, lease, power, delete; the HTTP side sees each."""
    vm = (await bigtop.create_vm(CreateVm(image="debian-12", flavor="small"))).id
    await ci.until(vm, "active", within=120)
    await ci.do("update", vm, labels={"by": "bus"})
    await ci.do("extend", vm, lease_ttl=900)
    await ci.do("reboot", vm, operation_id="op-by-bus")

    async def all_done() -> bool:
        seen = await bigtop.get(vm)
        done = {one.id for one in seen.status.operations if one.state is OperationState.DONE}
        lease = seen.lease.ttl if seen.lease else None
        return (seen.labels, lease, done) == ({"by": "bus"}, 900, {"op-by-bus"})

    await eventually(all_done, what="all of it is seen by HTTP")
    await ci.do("delete", vm)
    await bigtop.wait(vm, Phase.DELETED, timeout=120)
    assert cloud.holds(vm).counts == NOTHING


async def test_a_tenant_sees_and_touches_nothing_of_another(
    colobus: Installation, bigtop: Client, ci: CiSystem
) -> None:
    """Neither its news, nor its resources, nor its ids; and nothing of it happens."""
    async with CiSystem.of("openlab", colobus.amqp_url("openlab")) as other:
        vm = await ci.create()
        await ci.until(vm, "active", within=120)
        assert other.statuses == []
        for verb in ("delete", "reboot"):
            data = {"verb": verb, "kind": "vm", "resource_id": vm}
            assert refused(await other.ask(data))["reason"] == "not_found"
        forged = await other.ask({"verb": "create", "kind": "vm", "spec": SPEC}, tenant="bigtop")
        assert refused(forged)["reason"] == "forbidden"
        seen = await bigtop.get(vm)
        assert (seen.status.phase, seen.status.operations) == (Phase.ACTIVE, ())
        await ci.do("delete", vm)
        await ci.until(vm, "deleted", within=120)
        assert other.statuses == []
