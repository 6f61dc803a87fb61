"""What users type is understood, or refused with a word on what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from colobus.cli import options
from colobus.cli.output import span

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPa me@here"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1h30m", 5400)],
)
def test_durations_are_read_with_their_units(text: str, seconds: int) -> None:
    """Plain numbers are seconds."""
    assert options.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "2 h", "-1", "1.5h", "2w", "10m5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A guess at what was meant could cost a machine."""
    with pytest.raises(typer.BadParameter):
        options.duration(text)


def test_labels_keep_what_follows_the_first_equals_sign() -> None:
    """A value may hold equals signs, and may be empty."""
    assert options.labels(["a=b=c", "d="]) == {"a": "b=c", "d": ""}


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_what_is_no_label_is_refused(text: str) -> None:
    """A label needs its key and its equals sign."""
    with pytest.raises(typer.BadParameter):
        options.labels([text])


def test_ssh_keys_are_taken_as_text_or_from_files(tmp_path: Path) -> None:
    """A file of authorized keys may have comments and several keys."""
    file = tmp_path / "keys"
    file.write_text(f"# mine\n{KEY}\n\necdsa-sha2-nistp256 AAAA\n")
    assert options.ssh_keys([KEY, str(file)]) == (KEY, KEY, "ecdsa-sha2-nistp256 AAAA")


def test_a_private_key_is_never_sent(tmp_path: Path) -> None:
    """Only lines of public keys count as keys."""
    file = tmp_path / "id_ed25519"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n")
    with pytest.raises(typer.BadParameter):
        options.ssh_keys([str(file)])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (18000, "5 h"), (2e5, "2 d")],
)
def test_spans_are_told_in_their_largest_unit(seconds: float, text: str) -> None:
    """A clock that is ahead of ours shows as zero."""
    assert span(seconds) == text
