"""The virtual environment that OpenStack runs from, shared by all clouds of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import devcloud.plugins
from devcloud.packages import missing
from devcloud.site import Site

LOCK_FILE = Path(__file__).with_name("requirements.lock")
PYTHON = "/usr/bin/python3"  # the distribution's: the daemons' user must reach it
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
COMPILED = "uwsgi"  # has no wheel: built against this very Python, needs a compiler first
#: What the site module imports as soon as any of the cloud's Pythons starts.
SETTINGS = Path(devcloud.plugins.__file__).with_name("sitecustomize.py")
BUILD_PACKAGES = ("gcc", "libc6-dev", "python3-dev", "python3-venv")


def lock_hash() -> str:
    """Return what names everything derived from the locked requirements."""
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]


def venv_path(site: Site) -> Path:
    """Return where the environment is, or will be."""
    return site.paths.cache / f"openstack-{lock_hash()}"


def split_lock(text: str, alone: str) -> tuple[str, str]:
    """Split a lock file into (all but one requirement, that requirement), hashes included."""
    rest: list[str] = []
    own: list[str] = []
    current = rest
    for line in text.splitlines(keepends=True):
        if line[:1].isalnum():
            current = own if line.startswith(f"{alone}==") else rest
        current.append(line)
    return "".join(rest), "".join(own)


@dataclass(frozen=True, slots=True)
class CloudVenv:
    """The locked requirements, installed and compiled to bytecode, and how Python is set there."""

    name: ClassVar[str] = "openstack-venv"

    def installed(self, site: Site) -> bool:
        """Tell whether the environment is complete, and this cloud's settings are of this code."""
        copy = site.paths.plugins / SETTINGS.name
        set_up = copy.exists() and copy.read_text() == SETTINGS.read_text()
        return set_up and venv_path(site).is_dir()

    def install(self, site: Site) -> None:
        """Build it, unless another cloud of this machine has, and set Python for this cloud."""
        site.install_plugin(SETTINGS)
        self._build(site)

    def _build(self, site: Site) -> None:
        """Build it under another name and rename it, so a broken attempt is never used."""
        final = venv_path(site)
        building = final.with_name(final.name + ".building")
        with (site.paths.cache / "venv.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if final.is_dir():
                return
            shutil.rmtree(building, ignore_errors=True)
            self._uv(site, "venv", "--relocatable", "--python", PYTHON, str(building))
            rest, compiled = split_lock(LOCK_FILE.read_text(), COMPILED)
            self._install_locked(site, building, rest)
            self._compile_bytecode(site, building, final)
            while missing(BUILD_PACKAGES):  # being installed meanwhile, see `packages`
                site.tools.pause(0.5)
            self._install_locked(site, building, compiled)
            building.rename(final)

    def _install_locked(self, site: Site, building: Path, lock: str) -> None:
        file = building / "requirements.txt"
        file.write_text(lock)
        python = str(building / "bin" / "python")
        options = ["--no-deps", "--require-hashes", "--no-binary", COMPILED, "--python", python]
        self._uv(site, "pip", "install", *options, "--requirements", str(file))

    def _compile_bytecode(self, site: Site, building: Path, final: Path) -> None:
        # The daemons can't write there: without this, every start would compile again.
        argv = ["nice", str(building / "bin" / "python"), "-m", "compileall", "-q", "-j", "0"]
        argv += ["-s", str(building), "-p", str(final), str(building / "lib")]
        # Some packages ship templates named *.py that are no Python; that is no failure of ours.
        shell = ["sh", "-c", '"$@" || true', "compileall", *argv]
        clean = {"PYTHONDONTWRITEBYTECODE": ""}
        site.tools.run(self.name, shell, as_caller=True, environment=clean)

    def _uv(self, site: Site, *arguments: str) -> None:
        beside = shutil.which("uv", path=str(Path(sys.executable).parent))
        uv = [beside or shutil.which("uv") or "uv"]
        environment = {"UV_CACHE_DIR": str(site.paths.cache / "uv"), "UV_NO_PROGRESS": "1"}
        if CERTIFICATES.exists():
            environment["SSL_CERT_FILE"] = str(CERTIFICATES)
        argv = ["nice", *uv, *arguments]
        cwd = site.paths.cache  # no project file in sight
        site.tools.run(self.name, argv, as_caller=True, environment=environment, cwd=cwd)
