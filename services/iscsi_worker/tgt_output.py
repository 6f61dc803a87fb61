"""Reads what ``tgtadm --mode target --op show`` prints. Pure.

It is written for people, indented by fours: sections of a target by one level, what is in them by
two. Only what is needed is read; whatever else a version prints is passed over.

The alias of an initiator is printed as he sent it, line feeds included: between a target's header
and its LUNs may stand whatever whoever is logged in there likes, also what looks like the rest of
this target and the header of another. What can't be his is told by its length: tgtd keeps less
than `_TOLD` bytes of a session (usr/iscsi/session.c), and after each it writes a line of its own.
So where somebody is logged in, a target's sections and the header that follows are only believed
when they are longer than that together, as they are wherever there is a disk; and nothing can be
printed after the end of the whole text. Who lies there lies of his own target's sessions.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from services.iscsi_worker.backend import Session

#: The size of tgtd's buffer for what it shows of one session.
_TOLD = 1024
#: The rest of a line that nobody's session was glued to, by an alias that was cut off.
_PLAIN = r"(?![^\n]*(?:I_T nexus|Initiator|LUN information|alias):)[^\n]*\n"
_HEADER = re.compile(
    r"Target (\d+): ([^\n]+)\n    System information:\n"
    rf"(?:        (?=\S){_PLAIN})*    I_T nexus information:\n"
)
#: All that follows a target's sessions. It need not begin a line: see `_PLAIN`.
_SECTIONS = re.compile(
    rf"    LUN information:\n(?:        LUN: \d+\n(?:            {_PLAIN})*)*"
    rf"(?:    Account information:\n(?:        (?=\S){_PLAIN})*)?"
    rf"    ACL information:\n(?:        (?=\S){_PLAIN})*"
)
_NAME = re.compile(r" {8}Target (\d+): (.+)")
_LUN = re.compile(r" {8}LUN: (\d+)")
_SIZE = re.compile(r" {12}Size: (\d+) MB")
_STORE = re.compile(r" {12}Backing store path: (.+)")
_SERIAL = re.compile(r" {12}SCSI SN: (\S+)")
#: A number of 16 bits (`session_create`); what is longer `tgtadm` would not take as one.
_NEXUS = re.compile(r" {8}I_T nexus: ([0-9]{1,5})")
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


@dataclass(frozen=True)
class Listing:
    """All targets that were shown. ``doubtful``: something was passed over as a forgery."""

    targets: list[ShownTarget]
    doubtful: bool = False

    def is_of(self, names: Collection[tuple[int, str]]) -> bool:
        """Tell whether these are the targets with these numbers and names."""
        return sorted((one.tid, one.iqn) for one in self.targets) == sorted(names)


def read_targets(text: str) -> Listing:
    """Return what was shown; raises `ValueError` where it is not as tgtd writes it."""
    targets: list[ShownTarget] = []
    doubtful, at = False, 0
    while at < len(text):
        head = _HEADER.match(text, at)
        if head is None:
            raise ValueError(f"no target at {at}")
        sections, passed = _sections_after(text, head.end())
        doubtful |= passed
        target = ShownTarget(int(head[1]), head[2])
        target.sessions += _sessions(text[head.end() : sections.start()].split("\n"))
        _read_sections(sections[0].split("\n"), target)
        targets.append(target)
        at = sections.end()
    return Listing(targets, doubtful)


def read_names(text: str) -> list[tuple[int, str]]:
    """Return numbers and names of all targets from ``--mode lld``, which shows no sessions."""
    found = (_NAME.fullmatch(line) for line in text.split("\n"))
    return [(int(one[1]), one[2]) for one in found if one is not None]


def _sections_after(text: str, at: int) -> tuple[re.Match[str], bool]:
    """Return a target's own sections, and whether others were passed over."""
    if not text.startswith("        I_T nexus: ", at):
        found = _SECTIONS.match(text, at)
        if found is None:
            raise ValueError(f"no LUNs at {at}")
        return found, False
    passed = False
    for found in _SECTIONS.finditer(text, at):
        head = _HEADER.match(text, found.end())
        length = head.end() - found.start() if head else 0
        if length >= _TOLD or found.end() == len(text):
            return found, passed
        passed = True
    raise ValueError(f"no LUNs after {at}")


def _read_sections(lines: list[str], target: ShownTarget) -> None:
    sections: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("    ") and not line.startswith("     "):
            sections[line.strip().rstrip(":")] = section = []
        elif sections:
            section.append(line)
    _read_luns(sections.get("LUN information", []), target)
    target.usernames += _entries(sections.get("Account information", []))
    target.initiators += _entries(sections.get("ACL information", []))


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
        if (found := _NEXUS.fullmatch(line)) is not None:
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
