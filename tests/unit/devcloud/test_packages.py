"""Clouds that are brought up side by side need packages at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devcloud import packages
from devcloud.packages import DebianPackages
from devcloud.site import Site


class Machine:
    """What has been installed, and how many were at it at once; takes a moment, as dpkg does."""

    def __init__(self, folder: Path) -> None:
        self.paths = SimpleNamespace(cache=folder)
        self.tools = self
        self.installed: list[str] = []
        self.commands: list[str] = []
        self.policy_was_there: list[bool] = []
        self.most = 0
        self._at_it = 0
        self._lock = threading.Lock()

    def missing(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if name not in self.installed]

    def run(self, _: str, argv: list[str], **how: Any) -> None:
        with self._lock:
            self._at_it += 1
            self.most = max(self.most, self._at_it)
        time.sleep(0.05)
        self.policy_was_there.append(packages.POLICY.exists())
        self.commands.append(" ".join(argv))
        if "install" in argv:
            self.installed += argv[argv.index("install") + 1 :]
        with self._lock:
            self._at_it -= 1


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that has none of them."""
    made = Machine(tmp_path)
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(packages, "missing", made.missing)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return made


def test_one_cloud_installs_after_the_other(machine: Machine) -> None:
    """As dpkg would not wait; and who is done first lets no service of the other start."""
    site = cast(Site, machine)
    wanted = [DebianPackages((f"package-{number}", "common")) for number in range(4)]
    with ThreadPoolExecutor(len(wanted)) as side_by_side:
        for done in [side_by_side.submit(one.install, site) for one in wanted]:
            done.result()
    assert machine.most == 1
    assert all(machine.policy_was_there)
    assert sorted(machine.installed) == ["common", *(f"package-{number}" for number in range(4))]
    assert not packages.POLICY.exists()


def test_what_another_has_installed_meanwhile_is_not_asked_for(machine: Machine) -> None:
    """The lists of all packages are fetched for nothing then."""
    site = cast(Site, machine)
    for _ in range(2):
        DebianPackages(("common",)).install(site)
    assert machine.installed == ["common"]
    assert sum("update" in command for command in machine.commands) == 1
