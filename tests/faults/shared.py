"""What tests share for as long as each of them leaves it good; after one that failed, it is new.

A stuck VM, a dead letter or a part that did not come back would else be found by all tests after.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Generic, Protocol, TypeVar


class Abandoned(Protocol):
    """What can be given up in whatever state it is."""

    async def abandon(self) -> None:
        """Let nothing of it go on, and what it stands on be whole again."""


_T = TypeVar("_T", bound=Abandoned)


class Shared(Generic[_T]):
    """One at a time of what ``make`` makes; ``note`` is told what could not be left in order."""

    def __init__(
        self, make: Callable[[], AbstractAsyncContextManager[_T]], note: Callable[[str], None]
    ) -> None:
        self._make, self._note = make, note
        self._open = AsyncExitStack()
        self._made: _T | None = None

    async def get(self) -> _T:
        """Return the one there is; a new one, if there is none."""
        if self._made is None:
            self._made = await self._open.enter_async_context(self._make())
        return self._made

    async def abandon(self) -> None:
        """Give up the one there is; never raises, for the test that broke it has failed already."""
        made, self._made = self._made, None
        if made is None:
            return
        for step in (made.abandon, self._open.aclose):
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - it is told of, and the next one is new
                self._note(f"what a failed test left could not all be cleared away: {error!r}")
        self._open = AsyncExitStack()

    async def close(self) -> None:
        """Leave the one there is, in order."""
        await self._open.aclose()


@asynccontextmanager
async def shared(
    make: Callable[[], AbstractAsyncContextManager[_T]], note: Callable[[str], None]
) -> AsyncIterator[Shared[_T]]:
    """Share what ``make`` makes, until the end."""
    made = Shared(make, note)
    try:
        yield made
    finally:
        await made.close()
