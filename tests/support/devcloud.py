"""The real parts that tests use: started by devcloud when they don't run yet, and left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def up(*components: str) -> dict[str, str]:
    """Start these components and what they require; return devcloud's environment for them."""
    subprocess.run([sys.executable, "-m", "devcloud", "up", *components], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "devcloud", "env", "--json"]
    shown = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    environment: dict[str, str] = json.loads(shown.stdout)
    return environment
