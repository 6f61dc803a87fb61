"""A container engine: the user's, or one of our own where there is none.

Ours keeps its images in the state folder, so that a second run builds nothing, and is stopped at
the end. It leaves the machine's firewall and routing alone: containers reach each other and this
machine, nothing else, and nothing else reaches them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcloud.packages import DebianPackages
from devcloud.paths import Paths
from devcloud.site import Site
from tests.compose.downloads import base_image, compose_plugin
from tests.support.conditions import eventually_sync

#: The name that the Dockerfiles use for what they begin with.
BASE = "debian:bookworm-slim"
PACKAGES = DebianPackages(("docker.io", "tini", "iptables", "mmdebstrap"))
#: Where distributions and Docker's own packages put the command's plug-ins.
PLUGIN_FOLDERS = ("/usr/libexec/docker", "/usr/lib/docker", "/usr/local/lib/docker")


@dataclass(frozen=True)
class Engine:
    """How to speak to it. ``own``: it can pull no images, so all are built from packages."""

    command: str
    environment: Mapping[str, str]
    own: bool

    def docker(self, *arguments: str, timeout: float = 600) -> str:
        """Run ``docker``; return what it prints. Raises AssertionError with what went wrong."""
        done = self._run(arguments, timeout, stderr=subprocess.PIPE)
        assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def said(self, *arguments: str, timeout: float = 600) -> str:
        """Run ``docker``; return both its streams, as a container's logs are spread over them."""
        done = self._run(arguments, timeout, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout.strip()

    def _run(
        self, arguments: Sequence[str], timeout: float, *, stderr: int
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=timeout,
            check=False,
        )


@contextmanager
def engine() -> Iterator[Engine]:
    """Return the engine of this machine, else start one until the end."""
    found = _users_engine()
    if found is not None:
        yield found
        return
    if os.geteuid() != 0:
        raise AssertionError("no container engine answers: start Docker, or run this as root")
    site = Site.open()
    if not PACKAGES.installed(site):
        PACKAGES.install(site)
    state = site.paths.state.with_name("containers")
    state.mkdir(mode=0o700, exist_ok=True)
    with _alone(state), _daemon(state, site.paths) as started:
        if not started.docker("image", "ls", "--quiet", BASE):
            started.docker("import", str(base_image(site.paths.cache)), BASE)
        yield started


def _users_engine() -> Engine | None:
    command = shutil.which("docker")
    if command is None:
        return None
    for question in (["info"], ["compose", "version"]):
        if subprocess.run([command, *question], capture_output=True, check=False).returncode:
            return None
    return Engine(command, {}, own=False)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One run at a time: two daemons can't share a folder."""
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _daemon(state: Path, paths: Paths) -> Iterator[Engine]:
    socket = f"unix://{state}/docker.sock"
    plugins = state / "config" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "docker-compose").unlink(missing_ok=True)
    (plugins / "docker-compose").symlink_to(_plugin(paths.cache))
    variables = {"DOCKER_HOST": socket, "DOCKER_CONFIG": str(state / "config")}
    made = Engine("/usr/bin/docker", variables, own=True)
    (state / "pid").unlink(missing_ok=True)
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(
            # Should the tests be killed, it ends its containers and itself.
            ["setpriv", "--pdeathsig", "TERM", "/usr/sbin/dockerd", *_options(state), "-H", socket],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually_sync(lambda: _answers(made, process), within=60, what="the engine answers")
        _clear(made)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
        _unmount_below(state)


def _clear(made: Engine) -> None:
    """What a run that was killed has left; nobody else uses this engine."""
    left = made.docker("ps", "--all", "--quiet").split()
    if left:
        made.docker("rm", "--force", "--volumes", *left)
    made.docker("network", "prune", "--force")
    made.docker("volume", "prune", "--force")
    made.docker("image", "prune", "--force")  # those that a newer build has replaced


def _options(state: Path) -> list[str]:
    return [
        *("--data-root", str(state / "data"), "--exec-root", str(state / "run")),
        *("--pidfile", str(state / "pid"), "--storage-driver", "overlay2"),
        *("--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"),
        # The limits of this machine may be too high for programs that close all they could have.
        *("--default-ulimit", "nofile=1024:20000"),
    ]


def _answers(made: Engine, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the engine ended; see its log in the state folder"
    done = subprocess.run(
        [made.command, "info"],
        env={**os.environ, **made.environment},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _plugin(cache: Path) -> Path:
    for folder in PLUGIN_FOLDERS:
        installed = Path(folder) / "cli-plugins" / "docker-compose"
        if installed.exists():
            return installed
    return compose_plugin(cache)


def _unmount_below(folder: Path) -> None:
    """Whatever a container that was killed has left mounted."""
    shown = subprocess.run(
        ["findmnt", "--json", "--list", "--output", "TARGET"], capture_output=True, check=True
    )
    targets = [entry["target"] for entry in json.loads(shown.stdout)["filesystems"]]
    for target in sorted((t for t in targets if t.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", target], check=True)
