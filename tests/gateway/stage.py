"""The stage that scenarios are recorded on: the real ceph-iscsi, behind a recorder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from services.iscsi_worker.backend import Export, Store
from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from services.iscsi_worker.stores_file import CephIscsiAccess, load_stores
from shared.runtime.deadline import Deadline
from tests.gateway.recorder import recorder
from tests.gateway.world import World
from tests.integration.iscsi_worker.initiators import Login, logged_in
from tests.integration.iscsi_worker.machines import system
from tests.integration.iscsi_worker.world import GIB, STORE, Replica
from tests.support.conditions import eventually
from tests.support.exchanges import Occurrence, Recording
from tests.unit.iscsi_worker.scene import DISKS, IMAGE, Stage


@dataclass
class RealStage(Stage):
    """What happens on it is in ``recording``."""

    world: World
    replica: Replica
    api: CephIscsiApi
    recording: Recording

    @property
    def store(self) -> Store:
        """For one command."""
        return self.replica.context.stores.store(STORE, Deadline.after(240))

    @asynccontextmanager
    async def logged_in(self, export: Export, alias: str = "") -> AsyncIterator[None]:
        """With an initiator; when it has gone the gateway knows it, too."""
        account = export.account
        names = (self.world.portal, export.target_iqn, 0, export.initiator_iqn)
        login = Login(*names, account.username, str(account.secret))
        with ExitStack() as stack:
            if alias:
                stack.enter_context(system(login, alias))
            else:
                stack.enter_context(logged_in(login))
            self._happened("logged in", export, alias)
            yield
        await eventually(lambda: self._gone(export), what="the session ended")
        self._happened("logged out", export, alias)

    async def _gone(self, export: Export) -> bool:
        path = f"clientinfo/{export.target_iqn}/{export.initiator_iqn}"
        status, told = self.world.asked("GET", path)
        return status == 404 or not told["state"]

    def _happened(self, what: str, export: Export, alias: str) -> None:
        self.recording.moments.append(Occurrence(what, export.initiator_iqn, alias))


@asynccontextmanager
async def recorded(world: World, name: str) -> AsyncIterator[RealStage]:
    """A stage with the images that scenarios are about; all of it is cleared away."""
    recording = Recording(name)
    for image in (IMAGE, *DISKS.images):
        world.rbd.RBD().create(world.pool, image, GIB)
    try:
        async with recorder(world.url, recording, world.installation, world.portal) as proxy:
            world.urls = [proxy]
            access = load_stores(world.stores_file())[STORE].gateway
            assert isinstance(access, CephIscsiAccess)
            api = CephIscsiApi(STORE, access, seconds=world.gateway_seconds)
            try:
                async with world.replica() as replica:
                    yield RealStage(world, replica, api, recording)
            finally:
                await api.close()
    finally:
        world.urls = []
        world.forget()
        world.clear_volumes()
