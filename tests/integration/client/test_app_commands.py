"""``colobus app``: what is asked for, and what is changed."""

from __future__ import annotations

import json
from pathlib import Path

from colobus.models import Phase
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import ULID, Scripted, says, stored

APP, CLUSTER = f"app-{ULID}", f"cluster-{ULID}"
SPEC = {"cluster": CLUSTER, "image": "nginx", "port": 80}


async def test_an_app_is_asked_for_and_changed(
    door: Scripted, run: Command, tmp_path: Path
) -> None:
    """What the options say is sent, and nothing else; a file as it is."""
    door.on("POST", "/v1/apps", says(stored("app", Phase.REQUESTED, SPEC), 202))
    door.on("PATCH", f"/v1/apps/{APP}", says(stored("app", Phase.ACTIVE, SPEC), 202))
    file = tmp_path / "manifests.yaml"
    file.write_text("kind: ConfigMap\n")
    short = ["--image", "nginx", "--port", "80", "-o", "name"]
    made = await run("app", "create", "--cluster", CLUSTER, *short)
    assert (made.exit_code, made.stdout) == (0, f"{APP}\n")
    of_file = ["--cluster", CLUSTER, "--file", str(file)]
    assert (await run("app", "create", *of_file)).exit_code == 0
    assert (await run("app", "change", APP, "--replicas", "3")).exit_code == 0
    assert [json.loads(body) for *_, body in door.seen] == [
        SPEC,
        {"cluster": CLUSTER, "manifests": "kind: ConfigMap\n"},
        {"replicas": 3},
    ]


async def test_what_the_server_would_refuse_is_refused_at_once(
    door: Scripted, run: Command
) -> None:
    """Nothing is asked."""
    both = await run("app", "create", "--cluster", CLUSTER)
    assert both.exit_code != 0
    assert "manifests or image" in both.stderr
    assert (await run("app", "change", APP, "--port", "0")).exit_code != 0
    assert list(door.seen) == []


async def test_a_cluster_is_given_back_with_its_apps(door: Scripted, run: Command) -> None:
    """By force."""
    gone = says(stored("cluster", Phase.DEPROVISIONING, {"node_count": 1, "version": "1.20"}), 202)
    door.on("DELETE", f"/v1/clusters/{CLUSTER}", gone)
    assert (await run("cluster", "delete", CLUSTER, "--force")).exit_code == 0
    assert len(door.seen) == 1
