"""What compose.yaml takes from its operator is written down, and can be set at one place."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from services.admin.access import ACCESS

ROOT = Path(__file__).resolve().parents[2]
FILES = ("compose.yaml", "compose.bus.yaml", "compose.cluster.yaml")


def test_every_variable_of_dot_env_is_documented() -> None:
    """Operators look there, not into the file."""
    used = {name for file in FILES for name in re.findall(r"\$\{(\w+)", (ROOT / file).read_text())}
    documented = re.findall(r"^\| (`COLOBUS_.*?) \|", _chapter("## Containers"), re.MULTILINE)
    assert used == set(re.findall(r"`(COLOBUS_\w+)`", " ".join(documented)))


def test_nothing_is_fixed_that_is_to_be_set() -> None:
    """What compose.yaml writes itself wins over colobus.env; so it writes paths of its own only."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in ACCESS:
        for name, value in services[service]["environment"].items():
            ours = name.endswith("_FILE") and str(value).startswith("/run/secrets/")
            assert ours or str(value).startswith("${" + name), f"{service}: {name}"


def test_no_command_leaves_a_part_of_a_cluster_out() -> None:
    """Which files make the installation is said in .env, once, not with each command."""
    text = (ROOT / "docs/operations.md").read_text()
    commands = [line for line in text.splitlines() if line.startswith("docker compose")]
    assert commands
    assert not [line for line in commands if " -f " in line]
    assert "COMPOSE_FILE=compose.yaml:compose.cluster.yaml" in text


def _chapter(title: str) -> str:
    text = (ROOT / "docs/operations.md").read_text()
    return text[text.index(title) :].partition("\n### ")[0]
