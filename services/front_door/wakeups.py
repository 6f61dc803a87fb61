"""Who waits in this process for what: streams and long polls, woken by the database's NOTIFY.

A wake-up says "look again", never what is new, so one that is lost or doubled does no harm; what
is live only (progress) travels in a short buffer per listener, and the oldest goes first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.front_door.faults import too_many

#: Progress that a slow client has not taken yet; more is dropped, for it is no truth.
PROGRESS_BUFFER = 100


class Listener:
    """One stream or wait."""

    def __init__(self) -> None:
        self.progress: deque[bytes] = deque(maxlen=PROGRESS_BUFFER)
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Make `wait` return."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait to be woken, ``seconds`` at most; tell whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Wakeups:
    """All listeners of this process, by what they listen to."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self.closed = False

    @contextmanager
    def listen(self, *topics: str) -> Iterator[Listener]:
        """Listen from now on, so look after this and not before."""
        listener = Listener()
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            for topic in topics:
                listeners = self._listeners[topic]
                listeners.discard(listener)
                if not listeners:
                    del self._listeners[topic]

    def wake(self, *topics: str) -> None:
        """Wake who listens to one of these."""
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                listener.wake()

    def wake_all(self) -> None:
        """Wake everybody: something may have been missed."""
        self.wake(*self._listeners)

    def progress(self, topics: tuple[str, ...], event: bytes) -> None:
        """Hand a live event to who listens to one of these."""
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                listener.progress.append(event)
                listener.wake()

    def has_listeners(self, *topics: str) -> bool:
        """Tell whether anybody listens to one of these."""
        return any(topic in self._listeners for topic in topics)

    def close(self) -> None:
        """End all streams and waits: they see ``closed`` and answer with what they have."""
        self.closed = True
        self.wake_all()


def status_notified(wakeups: Wakeups) -> Callable[[str], None]:
    """Return what passes on the NOTIFY of `timeline.append`; "" says that some were missed."""

    def notified(payload: str) -> None:
        tenant, _, resource_id = payload.partition(" ")
        if payload:
            wakeups.wake(tenant_topic(tenant), resource_topic(resource_id))
        else:
            wakeups.wake_all()

    return notified


def confirm_notified(wakeups: Wakeups) -> Callable[[str], None]:
    """Return what passes on the NOTIFY of `RequestStore.confirm`."""

    def notified(payload: str) -> None:
        if payload:
            wakeups.wake(*map(request_topic, payload.split()))
        else:
            wakeups.wake_all()

    return notified


def tenant_topic(tenant: str) -> str:
    """What wakes those who follow all of a tenant."""
    return f"tenant {tenant}"


def resource_topic(resource_id: str) -> str:
    """What wakes those who follow one resource."""
    return f"resource {resource_id}"


def request_topic(request_id: str) -> str:
    """What wakes those who wait for the confirm of a request."""
    return f"request {request_id}"


class Slots:
    """How many of something each tenant may have open at once, in this process."""

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._taken: dict[str, int] = {}

    def has_room(self, tenant: str) -> bool:
        """Tell whether `take` would succeed now."""
        return self._taken.get(tenant, 0) < self._limit

    @contextmanager
    def take(self, tenant: str) -> Iterator[None]:
        """Hold one; raises `RequestFault` 429 when the tenant has all of its own."""
        if not self.has_room(tenant):
            raise too_many(f"There are {self._limit} {self._what} of yours open already.", 5)
        self._taken[tenant] = self._taken.get(tenant, 0) + 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
