"""The command line: results on stdout, words on stderr, an exit code for each outcome."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from colobus.cli.app import app
from colobus.models import Phase, Problem, Reason, Resource
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import (
    VM,
    Answer,
    Scripted,
    event,
    problem,
    says,
    streams,
    vm,
)

CREATE = ("vm", "create", "--image", "debian", "--flavor", "small")
ACTIVE = vm(Phase.ACTIVE, 3, outputs={"floating_ip": "203.0.113.7", "addresses": ["10.0.0.4"]})


async def test_create_sends_what_the_options_say(
    door: Scripted, run: Command, tmp_path: Path
) -> None:
    """Durations become seconds, files their content, labels a mapping."""
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "user-data").write_text("#cloud-config\n")
    door.on("POST", "/v1/vms", says(vm(Phase.REQUESTED, 1), 202))
    options = {
        "--name": "build-1",
        "--network": "net",
        "--ssh-key": str(tmp_path / "key.pub"),
        "--user-data": str(tmp_path / "user-data"),
        "--security-group": "web",
        "--label": "job=7",
        "--lease": "2h",
        "--deadline": "10m",
        "--callback-url": "https://ci/hook",
    }
    flat = [word for pair in options.items() for word in pair]
    result = await run(*CREATE, *flat, "--floating-ip", "-o", "name")
    assert (result.exit_code, result.stdout) == (0, f"{VM}\n")
    assert json.loads(door.seen[0][3]) == {
        "image": "debian",
        "flavor": "small",
        "name": "build-1",
        "network": "net",
        "floating_ip": True,
        "ssh_keys": ["ssh-ed25519 AAAA me"],
        "user_data": "#cloud-config\n",
        "security_groups": ["web"],
        "labels": {"job": "7"},
        "lease": {"ttl": 7200},
        "deadline": 600,
        "callback_url": "https://ci/hook",
    }


async def test_waiting_shows_every_step_and_then_the_vm(door: Scripted, run: Command) -> None:
    """Without a terminal each change is a line on standard error."""
    door.on("POST", "/v1/vms", says(vm(Phase.REQUESTED, 1), 202))
    door.on("GET", f"/v1/vms/{VM}", says(vm(Phase.PROVISIONING, 2)))
    door.on("GET", f"/v1/vms/{VM}/events", streams(event(ACTIVE), breaks=False))
    result = await run(*CREATE, "--wait", "-o", "json")
    assert result.exit_code == 0
    assert msgspec.json.decode(result.stdout, type=Resource) == ACTIVE
    assert f"{VM} provisioning" in result.stderr
    assert "port: done" in result.stderr
    assert f"{VM} active" in result.stderr


async def test_waiting_for_what_fails_exits_1_with_the_reason(door: Scripted, run: Command) -> None:
    """The backend's own words are shown."""
    error = Problem(title="No valid host", detail="All hosts are full", reason="no_valid_host")
    failed = vm(Phase.FAILED, 4, reason=Reason.NO_VALID_HOST, error=error)
    door.on("GET", f"/v1/vms/{VM}", says(failed))
    door.on("GET", f"/v1/vms/{VM}/events", streams(breaks=False))
    result = await run("vm", "wait", VM)
    assert result.exit_code == 1
    assert "All hosts are full" in result.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(404), 3),
        (problem(401), 4),
        (problem(403), 4),
        (problem(503), 5),
        (problem(429), 5),
        (problem(409), 1),
        (problem(422), 2),
    ],
)
async def test_each_outcome_has_its_exit_code(
    door: Scripted, run: Command, answer: Answer, code: int
) -> None:
    """Scripts can tell what went wrong."""
    door.on("GET", f"/v1/vms/{VM}", answer)
    assert (await run("vm", "get", VM)).exit_code == code


async def test_a_problem_is_shown_with_each_field(door: Scripted, run: Command) -> None:
    """Title, detail and every pointer."""
    fields = [
        {"detail": "There is no such field.", "pointer": "/color"},
        {"detail": "It is too long.", "pointer": "/name"},
    ]
    answer = problem(422, "Bad fields", detail="The body is wrong", reason="bad", errors=fields)
    door.on("POST", "/v1/vms", answer)
    result = await run(*CREATE)
    assert result.exit_code == 2
    for words in ("Bad fields", "The body is wrong", "/color: There is no", "/name: It is too"):
        assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("vm", "create", "--image", "debian"),
        (*CREATE, "--lease", "soon"),
        (*CREATE, "--label", "novalue"),
        (*CREATE, "--ssh-key", "/no/such/file"),
        (*CREATE, "--name", "not a name!"),
        ("vm", "list", "--phase", "asleep"),
        ("vm", "delete", VM, "--force"),
        ("vm", "credentials", VM),
        ("volume", "create"),
        ("volume", "create", "--image", "a", "--snapshot", "snapshot-01jdzq6v7n0000000000000000"),
        ("volume", "create", "--size-gib", "0"),
        ("volume", "create", "--size-gib", "much"),
        ("snapshot", "create", "--volume", VM),
        ("attachment", "create", "--volume", "volume-01jdzq6v7n0000000000000000"),
        ("vm", "fly", VM),
    ],
)
async def test_wrong_usage_exits_2_and_asks_nobody(
    door: Scripted, run: Command, arguments: tuple[str, ...]
) -> None:
    """What can be seen to be wrong isn't sent."""
    assert (await run(*arguments)).exit_code == 2
    assert door.seen == []


async def test_without_credentials_the_exit_code_is_4() -> None:
    """The message says what to set."""
    environ = {"COLOBUS_URL": "http://127.0.0.1:1", "COLOBUS_TOKEN": "", "OS_AUTH_URL": ""}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["vm", "list"], env=environ)
    assert result.exit_code == 4
    assert "COLOBUS_TOKEN" in result.stderr


async def test_lists_come_in_every_form(door: Scripted, run: Command) -> None:
    """Tables for people; JSON, YAML and names for programs."""
    door.on("GET", "/v1/vms", says({"items": [ACTIVE]}))
    table = (await run("vm", "list", "--phase", "active", "--label", "a=b")).stdout
    assert "203.0.113.7" in table
    assert "build-1" in table
    assert json.loads((await run("vm", "list", "-o", "json")).stdout)[0]["id"] == VM
    assert yaml.safe_load((await run("vm", "list", "-o", "yaml")).stdout)[0]["id"] == VM
    assert (await run("vm", "list", "-o", "name")).stdout == f"{VM}\n"


async def test_labels_lease_and_power_reach_the_server(door: Scripted, run: Command) -> None:
    """Each verb is its own request."""
    accepted = says(ACTIVE, 202)
    for method, path in (
        ("POST", "extend"),
        ("POST", "reboot"),
        ("POST", "stop"),
        ("POST", "start"),
    ):
        door.on(method, f"/v1/vms/{VM}/{path}", accepted)
    door.on("PATCH", f"/v1/vms/{VM}", accepted)
    for arguments in (("extend", VM, "2h"), ("label", VM, "a=b"), ("label", VM)):
        assert (await run("vm", *arguments)).exit_code == 0
    for verb in ("reboot", "stop", "start"):
        assert (await run("vm", verb, VM)).exit_code == 0
    bodies = [body for *_, body in door.seen]
    assert bodies == [b'{"ttl":7200}', b'{"labels":{"a":"b"}}', b'{"labels":{}}', b"", b"", b""]


async def test_interrupted_waiting_says_how_to_go_on(door: Scripted) -> None:
    """Ctrl-C ends the waiting, not the VM."""
    door.on("GET", f"/v1/vms/{VM}", says(vm(Phase.PROVISIONING, 2)))
    door.on("GET", f"/v1/vms/{VM}/events", streams(breaks=False))
    process = await asyncio.create_subprocess_exec(
        # In the background of a shell without job control SIGINT is ignored, and inherited so.
        *("env", "--default-signal=INT", sys.executable, "-m", "colobus", "vm", "wait", VM),
        env={**os.environ, "COLOBUS_URL": door.url, "COLOBUS_TOKEN": "t"},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = await process.stderr.readuntil(b"provisioning")
    process.send_signal(signal.SIGINT)
    said += await process.stderr.read()
    assert await process.wait() == 130
    assert f"colobus vm wait {VM}".encode() in said
