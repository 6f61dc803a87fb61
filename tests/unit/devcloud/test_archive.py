"""Debian's archive beyond this machine: apt is told of it without its own sources being touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from devcloud.images import archive


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What apt is asked; it knows this machine's mirror."""
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str]) -> str:
        calls.append(argv)
        return "http://x.invalid/debian/\n" if "indextargets" in argv else ""

    monkeypatch.setattr(archive, "_run", run)
    return calls


def test_another_architecture_comes_from_the_same_mirror(
    asked: list[Sequence[str]], tmp_path: Path
) -> None:
    """Lists, cache and sources are in the folder, and nowhere else."""
    options = archive.lists_of(tmp_path, "bookworm", "arm64")
    sources = (tmp_path / "sources.list").read_text()
    assert sources.endswith("] http://x.invalid/debian/ bookworm main\n")
    assert "APT::Architecture=arm64" in options
    for setting in ("Dir::Etc::sourcelist", "Dir::State::lists", "Dir::Cache"):
        assert any(option.startswith(f"{setting}={tmp_path}/") for option in options)
    update = asked[-1]
    assert update[:3] == ["apt-get", "-qq", "update"]
    assert list(update[3:]) == options


def test_another_release_keeps_this_machines_architecture(
    asked: list[Sequence[str]], tmp_path: Path
) -> None:
    """None is named where none is asked for."""
    del asked
    options = archive.lists_of(tmp_path, "trixie")
    assert not any("Architecture" in option for option in options)


def test_source_packages_are_known_where_they_are_asked_for(
    asked: list[Sequence[str]], tmp_path: Path
) -> None:
    """From the same mirror."""
    del asked
    archive.lists_of(tmp_path, "bookworm", sources=True)
    binary, source = (tmp_path / "sources.list").read_text().splitlines()
    assert binary.startswith("deb [")
    assert source == binary.replace("deb ", "deb-src ", 1)


def test_a_machine_without_debians_sources_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rather than by an index that is out of range."""
    monkeypatch.setattr(archive, "_run", lambda _: "")
    with pytest.raises(archive.NoArchive, match="have no bookworm"):
        archive.lists_of(tmp_path, "trixie")
