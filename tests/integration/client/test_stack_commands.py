"""``colobus stack``: what is asked for, and what is changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from colobus.models import Phase, Step, StepPart, StepState
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import ULID, Scripted, says, stored, streams

STACK = f"stack-{ULID}"
SPEC = {"template_name": "two-vms", "parameters": {"image": "debian-12"}}
HOT = "heat_template_version: 2018-08-31\n"


async def test_a_stack_is_asked_for_and_changed(
    door: Scripted, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the options name is sent, and nothing else; secrets come by the environment."""
    monkeypatch.setenv("mysql_password", "s3cr3t")
    door.on("POST", "/v1/stacks", says(stored("stack", Phase.REQUESTED, SPEC), 202))
    door.on("PATCH", f"/v1/stacks/{STACK}", says(stored("stack", Phase.ACTIVE, SPEC), 202))
    file = tmp_path / "hot.yaml"
    file.write_text(HOT)
    named = ["--template-name", "two-vms", "--parameter", "image=debian-12", "-o", "name"]
    made = await run("stack", "create", *named)
    assert (made.exit_code, made.stdout) == (0, f"{STACK}\n")
    changes = (
        ["--template", str(file)],
        ["--parameter", "flavor=large", "--parameter", "ssh_key=ssh-rsa A=="],
        ["--template-name", "two-vms", "--hidden-parameter", "mysql_password"],
    )
    for options in changes:
        changed = await run("stack", "change", STACK, *options, "-o", "name")
        assert (changed.exit_code, changed.stdout) == (0, f"{STACK}\n")
    assert [json.loads(body) for *_, body in door.seen] == [
        SPEC,
        {"template": HOT},
        {"parameters": {"flavor": "large", "ssh_key": "ssh-rsa A=="}},
        {"template_name": "two-vms", "hidden_parameters": {"mysql_password": "s3cr3t"}},
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--template", "FILE", "--template-name", "two-vms"], "not both"),
        (["--parameter", "flavor"], "is not NAME=VALUE"),
        (["--hidden-parameter", "no_such_variable"], "no variable no_such_variable"),
        (["--template-name", ""], "template_name"),
    ],
)
async def test_a_change_that_the_server_would_refuse_is_refused_at_once(
    door: Scripted, run: Command, tmp_path: Path, options: list[str], words: str
) -> None:
    """Nothing is asked."""
    file = tmp_path / "hot.yaml"
    file.write_text(HOT)
    given = [str(file) if one == "FILE" else one for one in options]
    refused = await run("stack", "change", STACK, *given)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert door.seen == []


async def test_what_heat_makes_is_shown_part_by_part(door: Scripted, run: Command) -> None:
    """While it is waited for, and of what is there; with Heat's words for what went wrong."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    server = StepPart(
        name="web",
        type="OS::Nova::Server",
        state=StepState.FAILED,
        status="CREATE_FAILED",
        reason="No valid host was found.",
        started_at=began,
        finished_at=began + timedelta(seconds=5),
    )
    port = StepPart(
        name="ports/0", type="OS::Neutron::Port", state=StepState.PENDING, status="INIT_COMPLETE"
    )
    step = Step(
        name="stack",
        worker="stack_worker",
        state=StepState.FAILED,
        parts=(server, port),
        more_parts=7,
    )
    failed = stored("stack", Phase.FAILED, SPEC, steps=(step,))
    door.on("GET", f"/v1/stacks/{STACK}", says(failed))
    door.on("GET", f"/v1/stacks/{STACK}/events", streams(breaks=False))
    waited = await run("stack", "wait", STACK)
    assert waited.exit_code == 1
    assert "stack/web: failed (5.0 s) OS::Nova::Server - No valid host was found." in waited.stderr
    assert "ports/0" not in waited.stderr
    shown = await run("stack", "get", STACK)
    assert "web CREATE_FAILED No valid host was found., ports/0 INIT_COMPLETE" in shown.stdout
    assert "and 7 more" in shown.stdout
