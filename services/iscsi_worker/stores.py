"""All stores of the stores file: what is kept of each between commands, and what a command gets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from services.iscsi_worker.backend import Gateway, Store
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from services.iscsi_worker.ceph_iscsi_gateway import CephIscsiGateway
from services.iscsi_worker.rbd_backend import Cluster
from services.iscsi_worker.rbd_calls import CephRbd
from services.iscsi_worker.stores_file import StoreAccess, TgtAccess
from services.iscsi_worker.tgt_control import TgtControl
from services.iscsi_worker.tgt_gateway import TgtGateway
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import PermanentError


@dataclass(frozen=True)
class Bounds:
    """Of each operation, in seconds, and how many threads call one Ceph."""

    ceph: float
    gateway: float
    threads: int


@dataclass(frozen=True)
class _Kept:
    """What is kept of a store; ``gateway`` makes one for a command."""

    cluster: Cluster
    gateway: Callable[[Deadline], Gateway]
    close: Callable[[], Awaitable[None]]


class RealStores:
    """`backend.Stores`; nothing is connected to before it is needed."""

    def __init__(self, stores: Mapping[str, StoreAccess], bounds: Bounds) -> None:
        self._kept = {name: _keep(name, access, bounds) for name, access in stores.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """In the file's order."""
        return tuple(self._kept)

    def store(self, name: str, deadline: Deadline) -> Store:
        """Return one store, for one command."""
        kept = self._kept.get(name)
        if kept is None:
            raise PermanentError(f"There is no store {name!r}.", reason=Reason.NO_STORE)
        return Store(name, CephRbd(kept.cluster, deadline), kept.gateway(deadline))

    async def close(self) -> None:
        """Let go of all connections."""
        await asyncio.gather(*(kept.close() for kept in self._kept.values()))


def _keep(name: str, access: StoreAccess, bounds: Bounds) -> _Kept:
    ceph, gateway = access.ceph, access.gateway
    cluster = Cluster(name, ceph, seconds=bounds.ceph, threads=bounds.threads)
    if isinstance(gateway, TgtAccess):
        control = TgtControl(name, gateway, seconds=bounds.gateway)
        return _Kept(cluster, partial(TgtGateway, control, gateway, ceph), cluster.close)
    api = CephIscsiApi(name, gateway, seconds=bounds.gateway)

    async def close() -> None:
        await asyncio.gather(cluster.close(), api.close())

    return _Kept(cluster, partial(CephIscsiGateway, api, gateway, ceph), close)
