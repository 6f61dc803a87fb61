"""What every benchmark is given: the running cloud, how long to measure, a Colobus of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.installation import Installation, installation

ROOT = Path(__file__).resolve().parents[1]
#: Nothing is to be held back by a quota or a rate limit, except where that is what is measured.
#: What lives is looked at as often as where nobody says otherwise: tests do so twenty times as
#: often.
UNBOUNDED = {
    "front_door": {"COLOBUS_RATE_LIMIT": "1000000", "COLOBUS_RATE_BURST": "1000000"},
    "scheduler": {"COLOBUS_MAX_BUILDING": "10000", "COLOBUS_INSPECT_SLOW_SECONDS": "60"},
}
TENANT = "bigtop"


@dataclass(frozen=True)
class World:
    """``environment`` is devcloud's. With ``tiny`` everything just runs once, measuring little."""

    environment: dict[str, str]
    rounds: int = 5
    tiny: bool = False

    def size(self, usual: int, tiny: int) -> int:
        """Return how many of something to measure with."""
        return tiny if self.tiny else usual

    @contextmanager
    def colobus(
        self, extra: Mapping[str, Mapping[str, str]] | None = None, **places: Any
    ) -> Iterator[Installation]:
        """Install a Colobus that nothing holds back; the caller starts what it needs of it.

        ``places``: ``stores`` and ``metals``, as `installation` takes them.
        """
        settings = {name: dict(values) for name, values in UNBOUNDED.items()}
        for service, variables in (extra or {}).items():
            settings[service] = {**settings.get(service, {}), **variables}
        with tempfile.TemporaryDirectory(prefix="colobus-bench-") as folder:
            quotas = {TENANT: {"vms": 1_000_000, "floating_ips": 1_000_000}}
            with installation(self.environment, Path(folder), quotas, settings, **places) as made:
                yield made


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m module`` until the block ends; wait for its first line, which says ready."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"{module} ended with {process.wait()}")
            yield process
        finally:
            process.terminate()


def report_of(module: str, *arguments: str) -> dict[str, float]:
    """Run ``python -m module`` to its end; return the JSON object that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report
