"""iSCSI sessions of libiscsi's, many in one thread: an initiator that tells an alias.

libiscsi (Debian: libiscsi7) answers the target's pings, and logs in again by itself where a session
that it once had is lost, as a running system does.
"""

from __future__ import annotations

import ctypes
import functools
import select
from collections.abc import Iterable
from typing import Any

from devcloud.stand_ins.boot_script import BootDisk

_NORMAL_SESSION = 2
#: How long one answer of the target may take, in seconds.
_ANSWER_SECONDS = 10
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL("libiscsi.so.7")
    context = ctypes.c_void_p
    library.iscsi_create_context.restype = context
    library.iscsi_create_context.argtypes = [ctypes.c_char_p]
    library.iscsi_get_error.restype = ctypes.c_char_p
    for name, *arguments in (
        ("iscsi_get_error",),
        ("iscsi_set_targetname", ctypes.c_char_p),
        ("iscsi_set_alias", ctypes.c_char_p),
        ("iscsi_set_initiator_username_pwd", ctypes.c_char_p, ctypes.c_char_p),
        ("iscsi_set_session_type", ctypes.c_int),
        ("iscsi_set_timeout", ctypes.c_int),
        ("iscsi_full_connect_async", ctypes.c_char_p, ctypes.c_int, _CALLBACK, ctypes.c_void_p),
        ("iscsi_get_fd",),
        ("iscsi_which_events",),
        ("iscsi_service", ctypes.c_int),
        ("iscsi_destroy_context",),
    ):
        getattr(library, name).argtypes = [context, *arguments]
    return library


class Session:
    """One login, under way or held. ``failure`` is why it has ended; it is not tried again then."""

    def __init__(self, disk: BootDisk, alias: str) -> None:
        self.disk = disk
        self._alias = alias.encode()
        self.logged_in = False
        self.failure: str | None = None
        self._answered = _CALLBACK(self._on_answer)  # must live as long as it may be called
        library = _library()
        self._context = library.iscsi_create_context(disk.initiator.encode())
        library.iscsi_set_targetname(self._context, disk.target.encode())
        library.iscsi_set_alias(self._context, self._alias)
        library.iscsi_set_session_type(self._context, _NORMAL_SESSION)
        library.iscsi_set_timeout(self._context, _ANSWER_SECONDS)
        login = (disk.username.encode(), disk.password.encode())
        library.iscsi_set_initiator_username_pwd(self._context, *login)
        where = disk.portal.encode()
        if library.iscsi_full_connect_async(self._context, where, disk.lun, self._answered, None):
            self._fail()

    @property
    def waits_for(self) -> tuple[int, int]:
        """The descriptor and the events (of poll) that it waits for; no events: only for time."""
        library = _library()
        return library.iscsi_get_fd(self._context), library.iscsi_which_events(self._context)

    def serve(self, events: int) -> None:
        """Let it go on: with what has happened on its descriptor, or (0) with time alone."""
        if self.failure is not None:
            return
        library = _library()
        # What logs in again after its target was away has forgotten it (libiscsi 1.19's
        # `iscsi_reconnect`), which no system has; while it is logged in, this changes nothing.
        library.iscsi_set_alias(self._context, self._alias)
        if library.iscsi_service(self._context, events) < 0:
            self._fail()

    def close(self) -> None:
        """Be gone without a word, as who loses his power is."""
        if self._context:
            _library().iscsi_destroy_context(self._context)
            self._context = None

    def _on_answer(self, _context: int, status: int, _data: int, _own: int) -> None:
        if status == 0:
            self.logged_in = True
        elif not self.logged_in and self._context:
            self._fail()

    def _fail(self) -> None:
        self.failure = (_library().iscsi_get_error(self._context) or b"").decode(errors="replace")


def serve(sessions: Iterable[Session], seconds: float) -> None:
    """Let all of them go on, waiting up to so long for one that can."""
    poll = select.poll()
    by_descriptor: dict[int, Session] = {}
    idle = []
    for session in sessions:
        descriptor, events = session.waits_for
        if descriptor < 0 or not events:
            idle.append(session)
            continue
        by_descriptor[descriptor] = session
        poll.register(descriptor, events)
    happened = poll.poll(seconds * 1000)
    for session in idle:
        session.serve(0)
    ready = dict(happened)
    for descriptor, session in by_descriptor.items():
        session.serve(ready.get(descriptor, 0))
