"""What tgtd's control socket is told, and what it answers: as `tgtadm` does it. Pure.

To start `tgtadm` costs many times what its order costs, so orders go to the socket themselves. The
form is tgt's own (usr/tgtadm.h, usr/tgtadm_error.h; of 1.0.24 and later); a test compares each
order, byte by byte, with what the installed `tgtadm` sends.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from shared.runtime.errors import ColobusError
from shared.worker.chap import Account
from shared.worker.errors import Conflict, NotFound, Refused

#: ``struct tgtadm_req``: mode, op, lld[64], len, tid, sid, lun, cid, host_no, device_type, ac_dir,
#: pack, force.
_REQUEST = struct.Struct("=ii64sIiQQIIIIII")
#: ``struct tgtadm_rsp``: err, and the length of all of the answer.
ANSWER = struct.Struct("=II")
_DRIVER = b"iscsi"
_NO_TARGET, _NO_LUN = -1, 2**64 - 1


class Mode(IntEnum):
    """What an order is about (``enum tgtadm_mode``); tgtd calls a LUN's a device."""

    SYSTEM = 0
    TARGET = 1
    DEVICE = 2
    DRIVER = 4
    CONNECTION = 6
    ACCOUNT = 7


class Op(IntEnum):
    """What is to be done (``enum tgtadm_op``)."""

    NEW = 0
    DELETE = 1
    SHOW = 2
    BIND = 3
    UNBIND = 4
    UPDATE = 5


@dataclass(frozen=True)
class Order:
    """One order. ``words`` are what `tgtadm` makes of its options, and may hold a password."""

    mode: Mode
    op: Op
    words: str = ""
    tid: int = _NO_TARGET
    lun: int = _NO_LUN
    sid: int = 0

    def __repr__(self) -> str:
        """Without the words."""
        return f"Order({self.mode.name} {self.op.name}, tid={self.tid})"

    def encoded(self) -> bytes:
        """Return it as it is sent."""
        words = self.words.encode() + b"\0" if self.words else b""
        length = _REQUEST.size + len(words)
        where = (self.tid, self.sid, self.lun, 0)
        return _REQUEST.pack(self.mode, self.op, _DRIVER, length, *where, 0, 0, 0, 0, 0) + words


SHOW_TARGETS = Order(Mode.TARGET, Op.SHOW)
#: Numbers and names alone.
SHOW_NAMES = Order(Mode.DRIVER, Op.SHOW)


def new_target(tid: int, iqn: str) -> Order:
    """Make a target."""
    return Order(Mode.TARGET, Op.NEW, f"targetname={iqn}", tid)


def delete_target(tid: int) -> Order:
    """Remove a target, with its LUNs."""
    return Order(Mode.TARGET, Op.DELETE, tid=tid)


def bind_initiator(tid: int, name: str) -> Order:
    """Let an initiator log in."""
    return Order(Mode.TARGET, Op.BIND, f"initiator-name={name}", tid)


def unbind_initiator(tid: int, shown: str) -> Order:
    """Let one who is shown, by name or by address, log in no more."""
    by_name = shown.startswith(("iqn.", "eui.", "naa."))
    what = "initiator-name" if by_name else "initiator-address"
    return Order(Mode.TARGET, Op.UNBIND, f"{what}={shown}", tid)


def new_account(account: Account) -> Order:
    """Make a CHAP account."""
    words = f"user={account.username},password={account.secret!s}"
    return Order(Mode.ACCOUNT, Op.NEW, words)


def delete_account(username: str) -> Order:
    """Remove a CHAP account, wherever it is used."""
    return Order(Mode.ACCOUNT, Op.DELETE, f"user={username}")


def bind_account(tid: int, username: str) -> Order:
    """Have a target ask for this account."""
    return Order(Mode.ACCOUNT, Op.BIND, f"user={username}", tid)


def new_lun(tid: int, lun: int, image: str, options: str) -> Order:
    """Offer an RBD image (``pool/image``), opened with these options."""
    words = f"path={image},bstype=rbd,bsopts={options}"
    return Order(Mode.DEVICE, Op.NEW, words, tid, lun)


def update_lun(tid: int, lun: int, parameters: str) -> Order:
    """Set what a LUN tells of itself."""
    return Order(Mode.DEVICE, Op.UPDATE, f"targetOps {parameters},", tid, lun)


def close_connection(tid: int, session_id: int) -> Order:
    """Close the (only) connection of a session."""
    return Order(Mode.CONNECTION, Op.DELETE, tid=tid, sid=session_id)


NO_ACCOUNT = "can't find the account"
_GONE = {
    4: "can't find the target",
    5: "can't find the logical unit",
    6: "can't find the session",
    7: "can't find the connection",
    8: "can't find the binding",
    13: "this access control rule does not exist",
    15: NO_ACCOUNT,
}
_STANDING = {
    9: "this target already exists",
    10: "this logical unit number already exists",
    11: "this binding already exists",
    12: "this access control rule already exists",
    14: "this account already exists",
    16: "too many accounts",
}
_ACTIVE = {19: "this target is still active", 20: "this logical unit is still active"}
_REFUSED = {
    1: "unknown error",
    2: "out of memory",
    3: "can't find the driver",
    17: "invalid request",
    18: "this target already has an outgoing account",
    22: "this operation isn't supported",
    23: "unknown parameter",
}


def fault_of(number: int) -> ColobusError:
    """Return our error for the number that tgtd answers, in `tgtadm`'s words."""
    if number in _GONE:
        return NotFound(_GONE[number])
    if number in _STANDING:
        return Conflict(_STANDING[number], code="exists")
    if number in _ACTIVE:
        return Conflict(_ACTIVE[number], code="active")
    return Refused(_REFUSED.get(number, f"tgtd's error {number}"))
