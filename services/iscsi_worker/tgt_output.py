"""Reads what ``tgtadm --mode target --op show`` prints. Pure.

It is written for people, indented by fours: sections of a target by one level, what is in them by
two. Only what is needed is read; whatever else a version prints is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.iscsi_worker.backend import Session

_TARGET = re.compile(r"Target (\d+): (\S+)")
_LUN = re.compile(r" {8}LUN: (\d+)")
_SIZE = re.compile(r" {12}Size: (\d+) MB")
_STORE = re.compile(r" {12}Backing store path: (.+)")
_SERIAL = re.compile(r" {12}SCSI SN: (\S+)")
_NEXUS = re.compile(r" {8}I_T nexus: (\d+)")
_INITIATOR = re.compile(r" {12}Initiator: (\S+)(?: alias: (.*))?")
_ADDRESS = re.compile(r" {16}IP Address: (\S+)")
_ENTRY = re.compile(r" {8}(\S+)")
#: What tgtd shows as the path of its own LUN 0, which every target has.
_NO_STORE = "None"
#: What tgtd shows of an initiator that told no alias; a nameless Linux tells ``(none)``.
_NO_ALIAS = "none"


@dataclass
class ShownTarget:
    """A target as tgtd shows it. ``luns`` is {number: backing store}, without its own LUN 0."""

    tid: int
    iqn: str
    luns: dict[int, str] = field(default_factory=dict)
    serials: dict[int, str] = field(default_factory=dict)
    #: {number: bytes}, as exactly as megabytes are.
    sizes: dict[int, int] = field(default_factory=dict)
    initiators: list[str] = field(default_factory=list)
    usernames: list[str] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


def read_targets(text: str) -> list[ShownTarget]:
    """Return all targets that were shown."""
    return [_target(lines) for lines in _groups(text)]


def _groups(text: str) -> Iterator[list[str]]:
    group: list[str] = []
    for line in text.splitlines():
        if _TARGET.match(line):
            if group:
                yield group
            group = [line]
        elif group:
            group.append(line)
    if group:
        yield group


def _target(lines: list[str]) -> ShownTarget:
    head = _TARGET.match(lines[0])
    assert head is not None
    target = ShownTarget(int(head[1]), head[2])
    sections: dict[str, list[str]] = {}
    for line in lines[1:]:
        if line.startswith("    ") and not line.startswith("     "):
            sections[line.strip().rstrip(":")] = section = []
        elif sections:
            section.append(line)
    _read_luns(sections.get("LUN information", []), target)
    target.sessions += _sessions(sections.get("I_T nexus information", []))
    target.usernames += _entries(sections.get("Account information", []))
    target.initiators += _entries(sections.get("ACL information", []))
    return target


def _read_luns(lines: list[str], target: ShownTarget) -> None:
    number = 0
    for line in lines:
        if (lun := _LUN.match(line)) is not None:
            number = int(lun[1])
        elif (store := _STORE.match(line)) is not None and store[1] != _NO_STORE:
            target.luns[number] = store[1]
        elif (size := _SIZE.match(line)) is not None:
            target.sizes[number] = int(size[1]) * 1_000_000
        elif (serial := _SERIAL.match(line)) is not None:
            target.serials[number] = serial[1]


def _sessions(lines: list[str]) -> list[Session]:
    sessions: list[Session] = []
    nexus, initiator, address, alias = "", "", "", ""
    for line in [*lines, "        I_T nexus: 0"]:
        if (found := _NEXUS.match(line)) is not None:
            if nexus:
                sessions.append(Session(nexus, initiator, address, alias))
            nexus, initiator, address, alias = found[1], "", "", ""
        elif (found := _INITIATOR.match(line)) is not None:
            initiator, told = found[1], (found[2] or "").strip()
            alias = "" if told == _NO_ALIAS else told
        elif (found := _ADDRESS.match(line)) is not None:
            address = found[1]
    return sessions


def _entries(lines: list[str]) -> list[str]:
    return [found[1] for line in lines if (found := _ENTRY.match(line)) is not None]
