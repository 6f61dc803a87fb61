"""Orders to one tgtd: the `tgtadm` command, and for CHAP accounts its control socket itself.

`tgtadm` takes a password as an argument only, where every user of the machine can read it in the
list of processes. So an account is made as `tgtadm` would make it, but without it. tgtd answers
only those who have its own user and group; it closes the connection to others, which `tgtadm`
takes for success: so what was ordered is read back, and an empty list is doubted.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from services.iscsi_worker.metrics import GATEWAY_CALLS, GATEWAY_SECONDS
from services.iscsi_worker.stores_file import TgtAccess
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable, ColobusError, OutcomeUnknown
from shared.worker.chap import Account
from shared.worker.errors import Conflict, NotFound, Refused

#: tgt's ``struct tgtadm_req`` (usr/tgtadm.h, 1.0.24 and later): mode, op, lld[64], len, tid, sid,
#: lun, cid, host_no, device_type, ac_dir, pack, force.
_REQUEST = struct.Struct("=ii64sIiQQIIIIII")
#: ``struct tgtadm_rsp``: err, len.
_RESPONSE = struct.Struct("=II")
_MODE_ACCOUNT, _OP_NEW, _NO_TID, _NO_LUN = 7, 0, -1, 2**64 - 1
#: TGTADM_USER_EXIST, as 1.0.85 answers.
_ACCOUNT_EXISTS = 14
#: Words of tgtadm's answers (usr/tgtadm_error.h, usr/tgtadm.c).
_GONE = ("can't find the", "does not exist")
_STANDING = ("already exists", "still active", "too many accounts")
_DEAD = ("failed to send", "can't connect", "failed to connect", "can't create a socket")
_MAX_DETAIL = 500


#: How many orders are given at once. tgtd carries them out one after the other, but most of an
#: order's time is `tgtadm`'s own start, which on a busy machine is not soon.
_AT_ONCE = 4


class TgtControl:
    """One tgtd. Few orders are given at once: it carries them out one after the other anyway.

    What is only to be shown is asked for once for all who wait for it: each has asked before it is
    looked at. Where fifty targets are made at once, most of tgtd's time would else go into listing
    all of them for each.
    """

    def __init__(self, store: str, access: TgtAccess, *, seconds: float) -> None:
        self._store = store
        self._access = access
        self._seconds = seconds
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._asked: dict[Sequence[str], asyncio.Task[str]] = {}

    async def __call__(self, deadline: Deadline, *arguments: str) -> str:
        """Run ``tgtadm`` with these arguments; return what it printed.

        Raises `NotFound`, `Conflict`, `Refused`, or `BackendUnavailable` when nobody answers.
        """
        deadline.check()
        if "show" in arguments:
            return await self._shown(arguments)
        return await self._bounded(lambda: self._run(arguments), changes=True)

    async def make_account(self, deadline: Deadline, account: Account) -> None:
        """Make a CHAP account; `Conflict` when there is one of that name."""
        deadline.check()
        await self._bounded(lambda: self._send_account(account), changes=True)

    async def _shown(self, arguments: Sequence[str]) -> str:
        """Share what is about to be looked at, unless that has begun."""
        asked = self._asked.get(arguments)
        if asked is None:
            asked = asyncio.create_task(
                self._bounded(lambda: self._look(arguments), changes=False), name="tgtd shows"
            )
            self._asked[arguments] = asked
            asked.add_done_callback(partial(self._forget, arguments))
        return await asyncio.shield(asked)  # whoever gives up leaves it to the others

    async def _look(self, arguments: Sequence[str]) -> str:
        self._asked.pop(arguments, None)  # who asks from here on may mean what changes meanwhile
        return await self._run(arguments)

    def _forget(self, arguments: Sequence[str], asked: asyncio.Task[str]) -> None:
        """It has never begun, if it is still there."""
        if self._asked.get(arguments) is asked:
            del self._asked[arguments]
        if not asked.cancelled():
            asked.exception()  # all who waited may have given up

    async def _bounded(self, order: Callable[[], Awaitable[str]], *, changes: bool) -> str:
        """Wait for our turn and carry out one order; who is silent too long is given up."""
        outcome, started = "failed", time.monotonic()
        try:
            async with asyncio.timeout(2 * self._seconds), self._turn:
                async with asyncio.timeout(self._seconds):
                    answer = await order()
            outcome = "done"
        except TimeoutError as error:
            kind = OutcomeUnknown if changes else BackendUnavailable
            raise kind(f"tgtd of store {self._store} did not answer in time.") from error
        else:
            return answer
        finally:
            GATEWAY_CALLS.labels(self._store, outcome).inc()
            GATEWAY_SECONDS.labels(self._store).observe(time.monotonic() - started)

    async def _run(self, arguments: Sequence[str]) -> str:
        port = str(self._access.control_port)
        argv = (self._access.tgtadm, "--control-port", port, "--lld", "iscsi", *arguments)
        environment = os.environ | {"TGT_IPC_SOCKET": str(self._access.socket)}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as error:
            detail = f"{self._access.tgtadm} can't be run: {error.strerror}"
            raise BackendUnavailable(detail) from error
        try:
            printed, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise fault_of(complaint.decode(errors="replace"))
        return printed.decode(errors="replace")

    async def _send_account(self, account: Account) -> str:
        path = f"{self._access.socket}.{self._access.control_port}"
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            detail = f"tgtd of store {self._store} can't be reached: {error.strerror}"
            raise BackendUnavailable(detail) from error
        try:
            writer.write(account_request(account))
            number, _ = _RESPONSE.unpack(await reader.readexactly(_RESPONSE.size))
        except (OSError, asyncio.IncompleteReadError):
            # Without the cause: it could carry what was sent.
            detail = f"tgtd of store {self._store} closed the connection."
            raise BackendUnavailable(detail) from None
        finally:
            writer.close()
        if number == _ACCOUNT_EXISTS:
            raise Conflict("this account already exists", code="exists")
        if number:
            raise Refused(f"tgtd refused the CHAP account (its error {number}).")
        return ""


def account_request(account: Account) -> bytes:
    """Return the order to make an account, as `tgtadm` sends it. Pure."""
    words = f"user={account.username},password={account.secret!s}".encode() + b"\0"
    length = _REQUEST.size + len(words)
    fields = (_MODE_ACCOUNT, _OP_NEW, b"iscsi", length, _NO_TID, 0, _NO_LUN, 0, 0, 0, 0, 0, 0)
    return _REQUEST.pack(*fields) + words


def fault_of(complaint: str) -> ColobusError:
    """Return our error for what `tgtadm` complained of. Pure."""
    detail = complaint.strip().removeprefix("tgtadm: ")[:_MAX_DETAIL]
    if any(words in detail for words in _DEAD):
        return BackendUnavailable(f"tgtd: {detail}")
    if any(words in detail for words in _GONE):
        return NotFound(detail)
    if any(words in detail for words in _STANDING):
        return Conflict(detail, code="active" if "active" in detail else "exists")
    if not detail:  # it ends so (by SIGPIPE) where tgtd dies while it is being spoken to
        return BackendUnavailable("tgtd was gone before it could answer.")
    return Refused(detail)
