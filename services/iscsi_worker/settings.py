"""The worker's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from shared.runtime.settings import Secret
from shared.worker.settings import WorkerSettings

_Seconds = Annotated[float, Meta(gt=0, le=600, description="seconds, up to 600")]


_Base = Annotated[str, Meta(pattern=r"^https?://[^/?#\s]+/?$", description="http(s)://host:port")]


class IscsiWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """``stores_file`` says how each store is reached (`stores_file`).

    ``chap_key`` (base64, from ``COLOBUS_CHAP_KEY_FILE``) is what all CHAP secrets derive from;
    ``sealing_key_file`` has the key that opens what machines' owners sealed for this worker.
    ``phone_home_url`` is what systems are told to phone home to: this worker's ``phone_home_port``
    at ``phone_home_host``, seen from the machines; without it none can be asked to.
    ``ceph_seconds`` bounds each operation of Ceph, ``gateway_seconds`` each call of a gateway.
    ``store_concurrency`` is how many commands may work on one store at once, at most.
    """

    stores_file: Path
    chap_key: Secret
    sealing_key_file: Path
    phone_home_url: _Base | None = None
    phone_home_host: str = "127.0.0.1"
    phone_home_port: Annotated[int, Meta(ge=0, le=65535)] = 8088
    ceph_seconds: _Seconds = 5
    gateway_seconds: _Seconds = 15
    store_concurrency: Annotated[int, Meta(ge=1, le=500)] = 16
