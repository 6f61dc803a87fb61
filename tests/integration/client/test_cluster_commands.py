"""``colobus cluster``: what is asked for, and the file that opens one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from colobus.models import Phase
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import ULID, Scripted, says, stored

CLUSTER = f"cluster-{ULID}"
SPEC = {"node_count": 3, "version": "1.20", "flavor": "large"}
FILE = "apiVersion: v1\nkind: Config\n"
ISSUED = {
    "kubeconfig": FILE,
    "api_address": "https://203.0.113.20:6443",
    "expires_at": "2030-01-01T00:00:00Z",
}


async def test_a_cluster_is_asked_for_and_resized(door: Scripted, run: Command) -> None:
    """What the options say is sent, and nothing else."""
    door.on("POST", "/v1/clusters", says(stored("cluster", Phase.REQUESTED, SPEC), 202))
    door.on("PATCH", f"/v1/clusters/{CLUSTER}", says(stored("cluster", Phase.ACTIVE, SPEC), 202))
    options = ["--version", "1.20", "--node-count", "3", "--flavor", "large", "-o", "name"]
    made = await run("cluster", "create", *options)
    assert (made.exit_code, made.stdout) == (0, f"{CLUSTER}\n")
    assert (await run("cluster", "resize", CLUSTER, "5")).exit_code == 0
    assert [json.loads(body) for *_, body in door.seen] == [SPEC, {"node_count": 5}]


async def test_a_kubeconfig_is_shown_or_written_for_its_user_alone(
    door: Scripted, run: Command, tmp_path: Path
) -> None:
    """The file alone on standard output, until when it opens on standard error."""
    door.on("GET", f"/v1/clusters/{CLUSTER}/kubeconfig", says(ISSUED))
    shown = await run("cluster", "kubeconfig", CLUSTER)
    assert (shown.exit_code, shown.stdout) == (0, FILE)
    assert "https://203.0.113.20:6443 until 2030-01-01 00:00 UTC" in " ".join(shown.stderr.split())
    path = tmp_path / "kubeconfig"
    path.write_text("of before, and readable for all")
    path.chmod(0o644)
    written = await run("cluster", "kubeconfig", CLUSTER, "--file", str(path))
    assert (written.exit_code, written.stdout) == (0, "")
    assert path.read_text() == FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
