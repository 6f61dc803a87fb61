"""What the front door is told from outside (``COLOBUS_…``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.runtime.settings import DatabaseSettings, Secret


class FrontDoorSettings(DatabaseSettings, frozen=True, kw_only=True):
    """The settings of the front door.

    ``master_key`` is base64 of 32 or more random bytes; ``sealing_public_keys`` are those of the
    workers, ``vm_worker=<base64>``; ``keystone_urls`` are ``cloud=http://host:port/v3``,
    ``keystone_ca_file`` who vouches for them at https (default: whom the system trusts).
    ``confirm_seconds`` is how long an answer waits for the broker's confirm; ``rate_limit`` is in
    requests per second; it, ``max_streams`` and ``max_waits`` are per tenant and replica.
    ``retention_days``: for how long what ended (was deleted, or failed) stays visible.
    """

    tenants_file: Path
    master_key: Secret
    sealing_public_keys: Annotated[
        dict[str, str], Meta(min_length=1, description="worker=<base64 of its public key>")
    ]
    keystone_urls: dict[str, str] = msgspec.field(default_factory=dict)
    keystone_ca_file: Path | None = None
    webhook_allowed_networks: tuple[str, ...] = ()
    confirm_seconds: Annotated[float, Meta(gt=0, le=60)] = 5
    query_seconds: Annotated[float, Meta(gt=0, le=60)] = 10
    republish_seconds: Annotated[float, Meta(gt=0, le=60)] = 2
    heartbeat_seconds: Annotated[float, Meta(gt=0, le=60)] = 15
    rate_limit: Annotated[float, Meta(gt=0)] = 50
    rate_burst: Annotated[int, Meta(ge=1)] = 200
    max_streams: Annotated[int, Meta(ge=1)] = 64
    max_waits: Annotated[int, Meta(ge=1)] = 512
    idempotency_hours: Annotated[int, Meta(ge=24, description="hours, 24 or more")] = 48
    retention_days: Annotated[int, Meta(ge=3, description="days, 3 or more")] = 30
