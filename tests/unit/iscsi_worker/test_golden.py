"""A golden image is looked at once for all who make copies of it at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from services.iscsi_worker.backend import Gateway, RbdBackend, RbdImage, Store
from services.iscsi_worker.provisioner import golden
from services.iscsi_worker.provisioner.golden import SECONDS, GoldenImages


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
