from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.iscsi_worker.ceph_iscsi_api import CephIscsiApi
from tests.unit.iscsi_worker.ceph_iscsi import scripted_api
from tests.unit.iscsi_worker.scene import DISK, DISKS, POOL, Scene, access_of


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scripted_api() as (server, url):
        server.images = {DISK, *(f"{POOL}/{image}" for image in DISKS.images)}
        # The first one is never reached.
        access = access_of(tmp_path, "http://127.0.0.1:1", url)
        api = CephIscsiApi("rack", access, seconds=5)
        yield Scene(server, access, api)
        await api.close()
