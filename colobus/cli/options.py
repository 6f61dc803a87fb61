"""What users type → values: durations, labels, keys, files."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+[dhms])+|\d+")
_KEY_START = re.compile(r"(ssh-|ecdsa-|sk-)\S+ ")


def duration(text: str) -> int:
    """Return the seconds of ``90``, ``90s``, ``10m``, ``2h``, ``1d`` or ``1h30m``."""
    if not _DURATION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no duration such as 90s, 10m, 2h or 1h30m")
    if text.isdigit():
        return int(text)
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))


def labels(texts: Sequence[str]) -> dict[str, str]:
    """Return the labels that ``key=value`` texts say."""
    pairs = [text.partition("=") for text in texts]
    for text, (key, equals, _) in zip(texts, pairs, strict=True):
        if not key or not equals:
            raise typer.BadParameter(f"{text!r} is not of the form key=value")
    return {key: value for key, _, value in pairs}


def ssh_keys(texts: Sequence[str]) -> tuple[str, ...]:
    """Return public keys, given themselves or as files of them (one a line)."""
    return tuple(key for text in texts for key in _keys(text))


def _keys(text: str) -> list[str]:
    content = text if _KEY_START.match(text) else read_file(text)
    lines = [line.strip() for line in content.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or not all(_KEY_START.match(line) for line in found):
        raise typer.BadParameter(f"{text!r} is neither a public key nor a file of public keys")
    return found


def read_file(name: str) -> str:
    """Return the text of a file; ``-`` is standard input."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{name} can't be read: {error}") from error


Id = Annotated[str, typer.Argument(help="The resource's id.", show_default=False)]
Ids = Annotated[list[str], typer.Argument(help="Resource ids.", show_default=False)]
Duration = Annotated[
    int | None, typer.Option(parser=duration, metavar="DURATION", help="Such as 90s, 10m or 2h.")
]
Lease = Annotated[
    int | None, typer.Option(parser=duration, metavar="DURATION", help="It may live so long: 2h.")
]
Deadline = Annotated[
    int | None, typer.Option(parser=duration, metavar="DURATION", help="Its making may take: 10m.")
]
Labels = Annotated[list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE")]
# What is said of a system that runs, be it in a VM or on a machine.
Network = Annotated[
    str | None, typer.Option(help="Name or id; default: your tenant's own network.")
]
FloatingIp = Annotated[bool, typer.Option("--floating-ip", help="Make it reachable from outside.")]
SshKeys = Annotated[
    list[str] | None, typer.Option(metavar="FILE|KEY", help="Public keys; repeatable.")
]
UserData = Annotated[
    str | None, typer.Option(metavar="FILE", help="For cloud-init; - is standard input.")
]
SecurityGroups = Annotated[list[str] | None, typer.Option(help="Repeatable.")]
Arch = Annotated[str | None, typer.Option(help="Such as aarch64.")]
WaitDeleted = Annotated[bool, typer.Option("--wait", help="Until they are deleted.")]
