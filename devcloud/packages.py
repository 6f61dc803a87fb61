"""Debian packages: only the missing ones, and nothing that they bring may start."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from devcloud.site import Site

POLICY = Path("/usr/sbin/policy-rc.d")
APT = ("apt-get", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600")


def missing(names: tuple[str, ...]) -> list[str]:
    """Return those of the packages that are not completely installed."""
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # it fails when it doesn't know one of them
    )
    present = {
        line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")
    }
    return [name for name in names if name not in present]


@dataclass(frozen=True, slots=True)
class DebianPackages:
    """Packages from the distribution."""

    names: tuple[str, ...]
    name: ClassVar[str] = "packages"

    def installed(self, site: Site) -> bool:
        """Tell whether all of them are there."""
        del site
        return not missing(self.names)

    def install(self, site: Site) -> None:
        """Install the missing ones, with root's rights only for this.

        One cloud after the other: dpkg waits for nobody, and what keeps services from being started
        is there for all.
        """
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        with _alone(site), _nothing_starts(sudo):
            # An earlier run may have been ended between unpacking and configuring.
            self._apt(site, [*sudo, "dpkg", "--configure", "--pending"])
            if wanted := missing(self.names):  # else another cloud has needed them meanwhile
                self._apt(site, [*sudo, *APT, "update"])
                frontend = ["env", "DEBIAN_FRONTEND=noninteractive"]
                self._apt(site, [*sudo, *frontend, *APT, "install", *wanted])

    def _apt(self, site: Site, argv: list[str]) -> None:
        site.tools.run("packages", argv, as_caller=True, may_end=False)


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    with (site.paths.cache / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _nothing_starts(sudo: list[str]) -> Iterator[None]:
    """Keep packages from starting their services (101: forbidden), unless that is so already."""
    if POLICY.exists():
        yield
        return
    install = [*sudo, "install", "-m", "755", "/dev/stdin", str(POLICY)]
    subprocess.run(install, input=b"#!/bin/sh\nexit 101\n", check=True)
    try:
        yield
    finally:
        subprocess.run([*sudo, "rm", "-f", str(POLICY)], check=True)
