"""What was asked of the real ceph-iscsi and what it answered, recorded to be played back.

A recording is a list of moments, in their order: an `Exchange`, or an `Occurrence` that explains
those after it. `tests/gateway` makes recordings, `tests/unit/iscsi_worker` plays them back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "unit" / "iscsi_worker" / "exchanges"
#: What stands for every password.
MASK = "***"


@dataclass(frozen=True)
class Exchange:
    """One call of the API. ``path`` is what follows ``/api/``; ``answer`` is the JSON body."""

    method: str
    path: str
    form: Mapping[str, str]
    status: int
    answer: Any

    @property
    def message(self) -> str:
        """What it says; empty where it shows something."""
        return str(self.answer.get("message", "")) if isinstance(self.answer, dict) else ""

    @property
    def changes(self) -> bool:
        """Tell whether it was to change something."""
        return self.method != "GET"

    def __str__(self) -> str:
        """``PUT target/iqn…``."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Occurrence:
    """What happened beside the API: ``what`` is `logged in` or `logged out`."""

    what: str
    initiator: str
    alias: str = ""


Moment = Exchange | Occurrence


@dataclass
class Recording:
    """What was recorded under a name."""

    name: str
    moments: list[Moment] = field(default_factory=list)

    @property
    def exchanges(self) -> list[Exchange]:
        """Without what happened beside them."""
        return [one for one in self.moments if isinstance(one, Exchange)]

    def save(self) -> None:
        """Write it, a moment a line."""
        lines = ",\n".join(json.dumps(_plain(one), sort_keys=True) for one in self.moments)
        FOLDER.mkdir(exist_ok=True)
        _file(self.name).write_text(f"[\n{lines}\n]\n")


def load(name: str) -> Recording:
    """Read a recording."""
    return Recording(name, [_moment(one) for one in json.loads(_file(name).read_text())])


def names() -> list[str]:
    """What the recordings are called."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


def masked(value: Any) -> Any:
    """The same with every password masked: of forms and of ceph-iscsi's settings."""
    if isinstance(value, Mapping):
        return {
            key: MASK if str(key).endswith("password") and one else masked(one)
            for key, one in value.items()
        }
    return [masked(one) for one in value] if isinstance(value, list) else value


def in_short(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What matters of ceph-iscsi's settings, and is the same whenever the same was done."""
    return {
        "disks": sorted(settings["disks"]),
        "targets": {
            iqn: {
                "portals": sorted(target["portals"]),
                "disks": {name: disk["lun_id"] for name, disk in target["disks"].items()},
                "clients": {
                    name: (
                        client["auth"]["username"],
                        {disk: lun["lun_id"] for disk, lun in client["luns"].items()},
                    )
                    for name, client in target["clients"].items()
                },
            }
            for iqn, target in settings["targets"].items()
        },
    }


def _plain(moment: Moment) -> dict[str, Any]:
    if isinstance(moment, Occurrence):
        return {"happened": moment.what, "initiator": moment.initiator, "alias": moment.alias}
    told = {"asked": str(moment), "status": moment.status, "answer": moment.answer}
    return told | ({"form": dict(moment.form)} if moment.form else {})


def _moment(plain: Mapping[str, Any]) -> Moment:
    if "happened" in plain:
        return Occurrence(plain["happened"], plain["initiator"], plain["alias"])
    method, _, path = plain["asked"].partition(" ")
    return Exchange(method, path, plain.get("form", {}), plain["status"], plain["answer"])


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"
