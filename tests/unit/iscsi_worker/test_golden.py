"""A golden image is looked at once for all who make copies of it at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from services.iscsi_worker.backend import (
    Gateway,
    RbdBackend,
    RbdImage,
    RbdSnapshot,
    Source,
    Store,
)
from services.iscsi_worker.names import GOLDEN_SNAPSHOT, Names, golden_image
from services.iscsi_worker.provisioner import golden
from services.iscsi_worker.provisioner.golden import SECONDS, GoldenImages
from services.iscsi_worker.provisioner.kit import GIB, Kit
from services.iscsi_worker.provisioner.volumes import provision_volume
from shared.contract.codec import envelope_for
from shared.contract.messages import ProvisionVolume
from shared.runtime.deadline import Deadline
from shared.runtime.secrets import SealingKey
from shared.worker.chap import Chap
from shared.worker.command import Command


@dataclass
class Pool:
    """``images`` are there; ``asked`` are the names that were looked at."""

    images: dict[str, RbdImage] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def image(self, name: str) -> RbdImage | None:
        self.asked.append(name)
        return self.images.get(name)


def _store(pool: Pool, name: str = "rack") -> Store:
    return Store(name, cast(RbdBackend, pool), cast(Gateway, None))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The time that is told, at "now"."""
    told = {"now": 100.0}
    fake: Any = type("time", (), {"monotonic": staticmethod(lambda: told["now"])})
    monkeypatch.setattr(golden, "time", fake)
    return told


async def test_a_look_is_good_for_a_while(clock: dict[str, float]) -> None:
    """For its image on its store alone."""
    pool, images = Pool({"g": RbdImage("g", 1)}), GoldenImages()
    for _ in range(3):
        assert await images.image(_store(pool), "g") == RbdImage("g", 1)
    assert pool.asked == ["g"]
    await images.image(_store(pool, "another"), "g")
    assert pool.asked == ["g", "g"]
    clock["now"] += SECONDS
    pool.images["g"] = RbdImage("g", 2)
    assert await images.image(_store(pool), "g") == RbdImage("g", 2)


@pytest.mark.usefixtures("clock")
async def test_that_there_is_none_is_not_remembered() -> None:
    """It may be imported any moment."""
    pool, images = Pool(), GoldenImages()
    assert await images.image(_store(pool), "g") is None
    pool.images["g"] = RbdImage("g", 1)
    assert await images.image(_store(pool), "g") == RbdImage("g", 1)


@pytest.mark.usefixtures("clock")
async def test_what_was_found_otherwise_is_looked_at_again() -> None:
    """A copy could not be made of it."""
    pool, images = Pool({"g": RbdImage("g", 1)}), GoldenImages()
    await images.image(_store(pool), "g")
    images.forget(_store(pool), "g")
    del pool.images["g"]
    assert await images.image(_store(pool), "g") is None


class Shrunk(Pool):
    """One whose image was imported anew, smaller, just after it was looked at."""

    size = 0

    async def clone(self, source: Source, name: str) -> None:
        self.size = self.images[source.image].size // 2

    async def grow(self, name: str, size: int) -> None:
        self.size = max(self.size, size)

    async def prove(self, name: str) -> int:
        return self.size


async def test_a_copy_of_what_is_smaller_by_now_has_the_size_that_was_asked_for() -> None:
    """What is called proven is as large as it was to be."""
    image, kit = golden_image("debian-12"), Kit(Names("i"), Chap(bytes(32)), SealingKey.generate())
    shown = RbdImage(image, 2 * GIB, snapshots=(RbdSnapshot(GOLDEN_SNAPSHOT, 2 * GIB),))
    order = ProvisionVolume(store="rack", size_gib=2, image="debian-12")
    envelope = envelope_for(order, source="/test", subject="volume-1", tenant="bigtop")
    command = Command(order, envelope, False, Deadline.after(20))
    _, size = await provision_volume(_store(Shrunk({image: shown})), kit, command)
    assert size == 2 * GIB
