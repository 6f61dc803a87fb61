"""The worker's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from shared.worker.settings import WorkerSettings

_Seconds = Annotated[float, Meta(gt=0, le=600, description="seconds, up to 600")]


class K8sWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """``clouds_file`` is a clouds.yaml whose user is a member of every tenant's project.

    ``cluster_templates_file`` says what clusters of each version are made of; without it only
    public templates are found. ``cloud_concurrency`` is how many commands may work on one cloud at
    once, at most: the bound adapts below that.
    """

    tenants_file: Path
    clouds_file: Path
    sealing_key_file: Path
    cluster_templates_file: Path | None = None
    cloud_connect_seconds: _Seconds = 5
    cloud_read_seconds: _Seconds = 30
    cloud_concurrency: Annotated[int, Meta(ge=1, le=500)] = 8
    command_prefetch: Annotated[int, Meta(ge=1, le=1000)] = 64
