"""Debian's archive beyond this machine: its packages of another release or architecture.

They are material only. apt gets lists and sources of its own, so that the machine's stay as they
are; where the archive is, it is told by the machine's own sources.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

#: The release whose sources, as this machine knows them, lead to the others too.
OWN = "bookworm"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class NoArchive(RuntimeError):
    """The archive could not be asked; the message has apt's words."""


def lists_of(
    folder: Path, release: str, arch: str | None = None, *, sources: bool = False
) -> list[str]:
    """Return the options with which apt knows a release, having fetched its lists now.

    Args:
        folder: Where they are kept.
        release: Its code name.
        arch: As Debian names it; None: this machine's own.
        sources: Know its source packages too.
    """
    listed = folder / "sources.list"
    status = folder / "status"
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    kinds = ("deb", "deb-src") if sources else ("deb",)
    where = f"[signed-by={_KEYRING}] {_mirror()} {release} main\n"
    listed.write_text("".join(f"{kind} {where}" for kind in kinds))
    status.touch()
    settings = {
        "Dir::Etc::sourcelist": listed,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": status,
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    if arch is not None:
        settings |= {"APT::Architecture": arch, "APT::Architectures": arch}
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    _run(["apt-get", "-qq", "update", *options])
    return options


def _mirror() -> str:
    """Return where this machine has its own packages from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    found = _run([*command, "Created-By: Packages", f"Codename: {OWN}", "Component: main"])
    if not found:
        raise NoArchive(f"this machine's sources of packages have no {OWN}")
    return found.split()[0]


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise NoArchive(f"{' '.join(argv[:3])} …\n{done.stderr[-600:]}")
    return done.stdout
