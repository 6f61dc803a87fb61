"""Debian packages as material: fetched and unpacked, never installed.

``options`` are apt's, where it is to ask for others than this machine's (`archive.lists_of`).
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.tools import ToolFailed

DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Deb:
    """One package file of the archive."""

    package: str
    file: str
    digest: str


def resolve(packages: Sequence[str], options: Sequence[str] = ()) -> list[Deb]:
    """Return the files that apt would fetch now."""
    shown = _apt("apt-get", "download", "--print-uris", *packages, *options)
    found = [_deb(line) for line in shown.splitlines() if line.startswith("'")]
    return sorted(found, key=lambda deb: deb.file)


def depended_on(package: str, prefix: str, options: Sequence[str] = ()) -> str:
    """Return the dependency of a package whose name begins so: of `linux-image-…`, the kernel."""
    shown = _apt("apt-cache", "depends", package, *options)
    names = [line.split()[-1] for line in shown.splitlines() if "Depends:" in line]
    return next(name for name in names if name.startswith(prefix))


def unpack(debs: Iterable[Deb], folder: Path, options: Sequence[str] = ()) -> Path:
    """Fetch packages and unpack them over one another into `folder / "root"`, which is returned."""
    root = folder / "root"
    root.mkdir()
    for deb in debs:
        _apt("apt-get", "download", deb.package, *options, cwd=folder)
        subprocess.run(["dpkg-deb", "--extract", deb.file, str(root)], cwd=folder, check=True)
    return root


def copy(source: Path, target: Path, wanted: Sequence[str]) -> None:
    """Copy the files that match patterns to the same places elsewhere, links as what they lead to.

    Links lead to files of the same tree, as they would where it were the root.
    """
    for pattern in wanted:
        matches = [path for path in source.glob(pattern) if not path.is_dir()]
        if not matches:
            raise FileNotFoundError(f"nothing in the packages matches {pattern}")
        for match in matches:
            place = target / match.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            real = _followed(match, source)
            place.write_bytes(real.read_bytes())
            place.chmod(real.stat().st_mode & 0o777)


def _followed(path: Path, root: Path) -> Path:
    while path.is_symlink():
        leads_to = path.readlink()
        path = (
            root / leads_to.relative_to("/") if leads_to.is_absolute() else path.parent / leads_to
        )
    return path


def _deb(line: str) -> Deb:
    _, file, _, digest = shlex.split(line)
    return Deb(package=file.split("_")[0], file=file, digest=digest)


def _apt(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600, cwd=cwd)
    if done.returncode != 0:
        raise ToolFailed(f"{' '.join(argv)}\n{done.stderr[-600:]}")
    return done.stdout
