"""The worker's settings, from the environment (`shared.runtime.settings`)."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.runtime.settings import Secret
from shared.runtime.tls import Trust
from shared.worker.settings import WorkerSettings

_Seconds = Annotated[float, Meta(gt=0, le=600, description="seconds, up to 600")]


class VmWorkerSettings(WorkerSettings, frozen=True, kw_only=True):
    """``clouds_file`` is a clouds.yaml whose user is a member of every tenant's project.

    ``cloud_concurrency`` is how many commands may work on one cloud at once, at most: the bound
    adapts below that. More make a small cloud slower: twenty VMs at once took it longer with 16.
    ``external_network`` names the network of floating IPs where a cloud has several;
    ``default_network_…`` is for tenants that name none. ``notifications_urls`` are the brokers on
    which clouds publish their own notifications: ``cloud=amqp://…``, where a cloud has several of
    them with a ``|`` in between; at ``amqps://``, ``notifications_ca_file`` vouches for them
    (default: whom the system trusts).
    """

    tenants_file: Path
    clouds_file: Path
    sealing_key_file: Path
    cloud_connect_seconds: _Seconds = 5
    cloud_read_seconds: _Seconds = 30
    cloud_concurrency: Annotated[int, Meta(ge=1, le=500)] = 8
    external_network: str | None = None
    default_network_cidr: IPv4Network = IPv4Network("10.77.0.0/20")
    default_network_dns: tuple[str, ...] = ()
    notifications_urls: dict[str, Secret] = msgspec.field(default_factory=dict)
    notifications_ca_file: Path | None = None

    @property
    def notifications_trust(self) -> Trust:
        """Whom to believe on the clouds' brokers."""
        return Trust(self.notifications_ca_file)
