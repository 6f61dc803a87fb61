"""The worker's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import Secret
from shared.worker.settings import WorkerSettings

_Seconds = Annotated[float, Meta(gt=0, le=600, description="seconds, up to 600")]


class BaremetalWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """``metals_file`` says what each metal is (`metals_file`), ``clouds_file`` how it is reached.

    The users of ``clouds_file`` (a clouds.yaml) have a role on the system: nodes belong to no
    project. ``chap_key`` (base64, from ``COLOBUS_CHAP_KEY_FILE``) is what all CHAP secrets derive
    from. ``metal_concurrency`` is how many commands may work on one metal at once, at most.
    ``reserve_seconds`` is how long one command waits for Ironic to choose a node.
    ``quarantine_seconds`` is how long a node may resist being given back clean before it is put
    aside.
    """

    metals_file: Path
    clouds_file: Path
    chap_key: Secret
    ironic_connect_seconds: _Seconds = 5
    ironic_read_seconds: _Seconds = 60
    metal_concurrency: Annotated[int, Meta(ge=1, le=500)] = 16
    reserve_seconds: _Seconds = 10
    quarantine_seconds: Annotated[
        float, Meta(ge=0, le=86400, description="seconds, up to 86400")
    ] = 120
