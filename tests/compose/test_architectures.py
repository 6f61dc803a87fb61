"""What the image is made of exists for both architectures that it is built for.

The archives are asked, of Debian and of Python's packages; nothing is fetched but their lists, and
nothing is built: no engine is needed, nor a machine of either kind.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from devcloud.images.archive import lists_of
from devcloud.images.debs import DEBIAN_ARCH, Deb, resolve
from tests.compose.engine import BASE
from tests.support.installation import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
#: What the Dockerfile gives to pip, and how.
LOCK, PIP = ROOT / "requirements-services.lock", r"bin/pip install (.*?)-r /build/(\S+)"
#: This machine's trust store: it may be behind a registry with a certificate of its own.
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Debian:
    """Debian's packages in the image, of one architecture."""

    arch: str
    packages: dict[str, Deb]

    def version(self, package: str) -> str:
        """``2.36`` of ``libc6_2.36-9+deb12u10_arm64.deb``."""
        found = re.match(rf"{package}_(\d+\.\d+)", self.packages[package].file)
        assert found is not None, self.packages[package].file
        return found[1]


@pytest.fixture(scope="module", params=sorted(DEBIAN_ARCH))
def debian(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    """All that the Dockerfile has apt install, and the C library beneath it."""
    (release,) = re.findall(r"^ARG BASE=debian:(\w+)-slim$", DOCKERFILE, re.MULTILINE)
    assert f"debian:{release}-slim" == BASE, "the image of the other tests is another"
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    installs = [re.search(r"apt-get -qq install ([^>&]*)", line) for line in lines]
    words = [word for found in installs if found for word in shlex.split(found[1])]
    wanted = {"libc6", *(word for word in words if not word.startswith("-"))}
    assert wanted >= {"python3", "python3-rados", "python3-rbd"}
    folder = tmp_path_factory.mktemp(request.param)
    options = lists_of(folder, release, DEBIAN_ARCH[request.param])
    found = resolve(sorted(wanted), options)
    assert {deb.package for deb in found} == wanted
    return Debian(request.param, {deb.package: deb for deb in found})


def test_debian_has_what_the_image_installs(debian: Debian) -> None:
    """Ceph's libraries for Python above all, which are nowhere else, and for that very Python."""
    built_for = {
        deb.file.removesuffix(".deb").rpartition("_")[2] for deb in debian.packages.values()
    }
    assert built_for <= {DEBIAN_ARCH[debian.arch], "all"}
    assert debian.packages["python3-rados"].file.endswith(f"_{DEBIAN_ARCH[debian.arch]}.deb")
    assert debian.version("python3") == "3.11", "what the lock is made for"


def test_every_package_of_the_lock_has_a_wheel(debian: Debian) -> None:
    """One with a hash that the lock has, for the image's Python and C library; none is built."""
    (flags, lock), *others = re.findall(PIP, DOCKERFILE.replace("\\\n", " "))
    assert (lock, others) == (LOCK.name, [])
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(flags.split())
    libc = debian.version("libc6").replace(".", "_")
    done = _resolved(f"{debian.arch}-manylinux_{libc}", debian.version("python3"))
    assert done.returncode == 0, done.stderr[-3000:]
    pinned = re.findall(r"^([a-z0-9-]+)==", LOCK.read_text(), re.MULTILINE)
    assert set(re.findall(r"^ \+ ([a-z0-9-]+)==", done.stderr, re.MULTILINE)) == set(pinned)


def test_what_has_no_wheel_is_noticed() -> None:
    """The question above can be answered with no: uvloop has none for Windows."""
    done = _resolved("x86_64-pc-windows-msvc", "3.11")
    assert done.returncode != 0
    assert "uvloop" in done.stderr
    assert "no usable wheels" in done.stderr


def _resolved(platform: str, python: str) -> subprocess.CompletedProcess[str]:
    """Ask for all of the lock, as pip does in the Dockerfile, on another platform."""
    trust = {"SSL_CERT_FILE": str(TRUST)} if TRUST.exists() else {}
    return subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-deps"),
            *("--only-binary", ":all:", "--require-hashes", "--target", "/nonexistent"),
            *("--python-platform", platform, "--python-version", python, "-r", str(LOCK)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, **trust},
    )
