from __future__ import annotations

from dataclasses import dataclass

from shared.worker.duplicates import keep_first, oldest_first


@dataclass(frozen=True)
class Thing:
    id: str
    created_at: str
    failed: bool = False


OLD = Thing("z", "2026-01-01T00:00:00Z")
NEW = Thing("a", "2026-01-02T00:00:00Z")
TWIN = Thing("b", "2026-01-02T00:00:00Z")


def test_the_oldest_is_first_and_the_id_decides_between_twins() -> None:
    """Every replica sorts alike, whatever order it was told them in."""
    assert oldest_first([TWIN, NEW, OLD]) == [OLD, NEW, TWIN]
    assert oldest_first([OLD, TWIN, NEW]) == [OLD, NEW, TWIN]


def test_a_rank_comes_before_age() -> None:
    """One that failed is not kept while another lives."""
    failed = Thing("c", OLD.created_at, failed=True)
    assert oldest_first([failed, NEW], lambda thing: thing.failed) == [NEW, failed]


async def test_the_first_stays_and_the_others_go() -> None:
    """All but one are removed; of nothing, nothing stays."""
    removed: list[str] = []

    async def remove(id: str) -> object:
        removed.append(id)
        return True

    assert await keep_first("test", "thing", [OLD, NEW, TWIN], remove) is OLD
    assert removed == ["a", "b"]
    nothing: list[Thing] = []
    assert await keep_first("test", "thing", nothing, remove) is None
