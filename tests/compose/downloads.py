"""What an engine of our own needs and no registry of images gives us here; kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from devcloud.images import debs
from devcloud.images.archive import lists_of

#: The release whose package of Compose version 2 runs on Debian 12 as well.
_COMPOSE_FROM = "trixie"
#: This machine's trust store: it may be behind a registry with a certificate of its own.
_TRUST = "/etc/ssl/certs/ca-certificates.crt"
#: What Debian's own slim image leaves out, too.
_SLIM = (
    'cd "$1"/usr/share && rm -rf man locale info lintian '
    "&& find doc -type f ! -name copyright -delete"
)
_BASE = (
    *("mmdebstrap", "--variant=minbase", "--include=ca-certificates,usr-is-merged"),
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    f"--customize-hook=copy-in {_TRUST} {Path(_TRUST).parent}",
    f"--customize-hook={_SLIM}",
    "bookworm",
)


def base_image(cache: Path) -> Path:
    """Return a root filesystem of Debian 12 like the one of its slim image, as a tar file."""
    recipe = hashlib.sha256(repr(_BASE).encode() + Path(_TRUST).read_bytes()).hexdigest()[:12]
    made = _folder(cache) / f"bookworm-{recipe}.tar"
    if not made.exists():
        with TemporaryDirectory(dir=made.parent) as folder:
            _run([*_BASE, f"{folder}/base.tar"], folder)
            Path(folder, "base.tar").replace(made)
    return made


def compose_plugin(cache: Path) -> Path:
    """Return Compose version 2, unpacked from Debian's package; nothing is installed."""
    made = _folder(cache) / "docker-compose"
    if not made.exists():
        with TemporaryDirectory(dir=made.parent) as folder:
            options = lists_of(Path(folder, "apt"), _COMPOSE_FROM)
            root = debs.unpack(debs.resolve(["docker-compose"], options), Path(folder), options)
            (root / "usr/libexec/docker/cli-plugins/docker-compose").replace(made)
    return made


def _folder(cache: Path) -> Path:
    folder = cache / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(argv: list[str], folder: str) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
