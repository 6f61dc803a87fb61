"""What all provisioning functions need besides the metal and the command."""

from __future__ import annotations

from dataclasses import dataclass

from services.baremetal_worker.marks import Marks
from shared.worker.chap import Chap

WORKER = "baremetal_worker"


@dataclass(frozen=True)
class Kit:
    """Made once, in wiring.

    ``reserve_seconds`` is how long one command waits for Ironic to choose a node,
    ``quarantine_seconds`` how long a node may resist being given back clean.
    """

    marks: Marks
    chap: Chap
    reserve_seconds: float = 10.0
    quarantine_seconds: float = 120.0
