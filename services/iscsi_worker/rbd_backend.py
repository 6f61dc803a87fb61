"""Ceph's door: the only file that imports the vendor's libraries (rados, rbd).

Here is the connection to one pool, with its bounds, and the reading of the vendor's errors. What
is called through it is in `rbd_calls`. The libraries block, and release the GIL: they run in
threads, as many as the store has places for.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import structlog

from services.iscsi_worker.metrics import CEPH_CALLS, CEPH_SECONDS
from services.iscsi_worker.rbd_faults import Fault, translate
from services.iscsi_worker.stores_file import CephAccess
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, ConfigurationError, TemporaryError

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)
#: Every option that bounds a wait; without them a call waits for ever (librados' `timeout`
#: argument does nothing).
_TIMEOUTS = ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout")


#: The object that workers' locks are on, and how long one lasts whose worker has died.
LOCKS, LOCK_SECONDS = "colobus.locks", 30
#: Ceph keeps a lock as an attribute, and takes 100 bytes of its name (osd_max_attr_name_len).
_LONGEST_LOCK = 90
#: Renew a lock that we still hold; never take one (librados' LIBRADOS_LOCK_FLAG_MUST_RENEW).
_MUST_RENEW = 2


@dataclass(frozen=True)
class Vendor:
    """The two modules."""

    rados: Any
    rbd: Any

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Everything that a call raises for Ceph's faults."""
        return (self.rados.Error, self.rbd.Error)


@cache
def vendor() -> Vendor:
    """Return the libraries; raises `ConfigurationError` where they are not installed."""
    try:
        import rados
        import rbd
    except ImportError as error:
        raise ConfigurationError(
            "Ceph's libraries for Python are missing: install the Debian packages python3-rados "
            "and python3-rbd, for the interpreter that the services run on"
        ) from error
    return Vendor(rados, rbd)


@dataclass(frozen=True)
class Pool:
    """A pool of a cluster that we are connected to. Its calls block."""

    rbd: Any
    ioctx: Any
    _image: Any

    @contextmanager
    def open(
        self, name: str, snapshot: str | None = None, *, read_only: bool = True
    ) -> Iterator[Any]:
        """Open an image. Read-only it is not watched, so that nobody finds it busy for us."""
        with self._image(self.ioctx, name, snapshot=snapshot, read_only=read_only) as image:
            yield image

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only worker that makes or unmakes an image: librbd copes badly with two.

        A lock of RADOS' own (cls_lock) on one object for all images, by the image's name; nothing
        is left of it. It is renewed for as long as this takes (an image of TiBs goes in minutes),
        and let go after a while for a worker that died. Raises the vendor's error "busy".
        """
        cookie, done, lock = uuid.uuid4().hex, threading.Event(), lock_of(name)
        self.ioctx.lock_exclusive(LOCKS, lock, cookie, "", LOCK_SECONDS)
        keeper = threading.Thread(target=self._keep, args=(lock, cookie, done), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()
            with suppress(*vendor().errors):
                self.ioctx.unlock(LOCKS, lock, cookie)

    def _keep(self, lock: str, cookie: str, done: threading.Event) -> None:
        while not done.wait(LOCK_SECONDS / 4):
            try:
                self.ioctx.lock_exclusive(LOCKS, lock, cookie, "", LOCK_SECONDS, _MUST_RENEW)
            except vendor().errors as error:
                _log.warning("lock not renewed", lock=lock, error=str(error)[:500])


def lock_of(image: str) -> str:
    """The name of an image's lock: its own, where that is not too long. Pure."""
    fits = len(image) <= _LONGEST_LOCK
    return image if fits else hashlib.sha256(image.encode()).hexdigest()


@dataclass
class _Connection:
    """A connection, and how many threads are using it: only then may it be shut down."""

    cluster: Any
    pool: Pool
    users: int = 0
    given_up: bool = False

    def shut_down(self) -> None:
        """Close it."""
        with suppress(*vendor().errors):
            self.pool.ioctx.close()
            self.cluster.shutdown()


class Cluster:
    """One pool, connected to when it is first needed and again after an outage.

    While the monitors are silent, callers don't queue up for one time-out each: those who were
    waiting when an attempt to connect failed share its failure.
    """

    def __init__(self, store: str, access: CephAccess, *, seconds: float, threads: int) -> None:
        self._store = store
        self._access = access
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"ceph-{store}")
        self._connecting = threading.Lock()
        self._lock = threading.Lock()
        self._current: _Connection | None = None
        self._failed_at = 0.0
        self._failure: Exception | None = None

    async def run(
        self, work: Callable[[Pool], T], deadline: Deadline, *, changes: bool = False
    ) -> T:
        """Run ``work`` in a thread; ``changes``: it has an effect, which may be unknown.

        Raises what `translate` gives, or `DeadlineExpired` before anything is asked.
        """
        call = partial(copy_context().run, self._blocking, work, deadline, changes)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        """Shut the connection down, when who uses it is done."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._current is not None:
            await asyncio.to_thread(self._current.shut_down)

    def _blocking(self, work: Callable[[Pool], T], deadline: Deadline, changes: bool) -> T:
        deadline.check()  # here, since the thread may have come late
        connection = self._borrow()
        started, outcome = time.monotonic(), "failed"
        try:
            deadline.check()  # connecting may have taken its time
            result = work(connection.pool)
            outcome = "done"
        except vendor().errors as error:
            fault = Fault(str(error), getattr(error, "errno", None), changes)
            connection.given_up |= fault.connection_lost
            ours = translate(fault)
            if isinstance(ours, TemporaryError):
                _log.warning("ceph call failed", store=self._store, error=str(error)[:500])
            raise ours from error
        else:
            return result
        finally:
            CEPH_CALLS.labels(self._store, outcome).inc()
            CEPH_SECONDS.labels(self._store).observe(time.monotonic() - started)
            self._give_back(connection)

    def _borrow(self) -> _Connection:
        asked_at = time.monotonic()
        with self._connecting:
            if self._current is None or self._current.given_up:
                if self._failure is not None and self._failed_at >= asked_at:
                    raise BackendUnavailable(str(self._failure)) from self._failure
                self._current = self._connect()
            connection = self._current
            with self._lock:
                connection.users += 1
        return connection

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            connection.users -= 1
            unused = connection.given_up and connection.users == 0
        if unused:
            connection.shut_down()

    def _connect(self) -> _Connection:
        try:
            return self._connected()
        except vendor().errors as error:
            self._failure, self._failed_at = error, time.monotonic()
            _log.warning("ceph can't be reached", store=self._store, error=str(error)[:500])
            raise BackendUnavailable(f"Ceph of store {self._store}: {error}") from error

    def _connected(self) -> _Connection:
        rados, rbd = vendor().rados, vendor().rbd
        whole_seconds = str(math.ceil(self._seconds))  # Ceph takes no fractions
        options = dict.fromkeys(_TIMEOUTS, whole_seconds) | {"rbd_default_clone_format": "2"}
        if self._access.keyring is not None:
            options["keyring"] = str(self._access.keyring)
        cluster = rados.Rados(
            conffile=str(self._access.conf), rados_id=self._access.user, conf=options
        )
        try:
            cluster.connect()
            ioctx = cluster.open_ioctx(self._access.pool)
        except vendor().errors:
            cluster.shutdown()
            raise
        return _Connection(cluster, Pool(rbd.RBD(), ioctx, rbd.Image))
