"""What we tell tgtd is, byte by byte, what the installed `tgtadm` tells it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.iscsi_worker.tgt_protocol import (
    ANSWER,
    SHOW_NAMES,
    SHOW_TARGETS,
    Order,
    bind_account,
    bind_initiator,
    close_connection,
    delete_account,
    delete_target,
    new_account,
    new_lun,
    new_target,
    unbind_initiator,
    update_lun,
)
from shared.runtime.settings import Secret
from shared.worker.chap import Account

IQN = "iqn.2026-11.org.colobus:i.t.machine-1"
#: A number as our targets have them.
TID = 1_900_000_001


#: The length of an order without its words.
_HEAD = len(SHOW_TARGETS.encoded())


def _length(head: bytes) -> int:
    return int.from_bytes(head[72:76], sys.byteorder)


@contextmanager
def _listening(path: Path, heard: list[bytes]) -> Iterator[None]:
    """Be a tgtd that does whatever it is told: all that it hears is kept."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection = server.accept()[0]
            with connection, connection.makefile("rb") as stream:
                head = stream.read(_HEAD)  # tgtadm sends the words after it
                heard.append(head + stream.read(_length(head) - _HEAD))
                connection.sendall(ANSWER.pack(0, ANSWER.size))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("order", "arguments"),
    [
        (SHOW_TARGETS, "--mode target --op show"),
        (SHOW_NAMES, "--mode lld --op show"),
        (new_target(TID, IQN), f"--mode target --op new --tid {TID} -T {IQN}"),
        (delete_target(TID), f"--mode target --op delete --tid {TID}"),
        (bind_initiator(TID, IQN), f"--mode target --op bind --tid {TID} -Q {IQN}"),
        (unbind_initiator(TID, IQN), f"--mode target --op unbind --tid {TID} -Q {IQN}"),
        (unbind_initiator(TID, "ALL"), f"--mode target --op unbind --tid {TID} -I ALL"),
        (
            new_account(Account("uuuu", Secret("pppp"))),
            "--mode account --op new --user uuuu --password pppp",
        ),
        (delete_account("uuuu"), "--mode account --op delete --user uuuu"),
        (bind_account(TID, "uuuu"), f"--mode account --op bind --tid {TID} --user uuuu"),
        (
            new_lun(TID, 2, "rbd/colobus.i.t.v", "conf=/etc/ceph/ceph.conf;id=u"),
            f"--mode logicalunit --op new --tid {TID} --lun 2 --bstype rbd"
            " --backing-store rbd/colobus.i.t.v --bsopts conf=/etc/ceph/ceph.conf;id=u",
        ),
        (
            update_lun(TID, 2, "scsi_sn=1,lbppbe=3"),
            f"--mode logicalunit --op update --tid {TID} --lun 2 --params scsi_sn=1,lbppbe=3",
        ),
        (close_connection(TID, 77), f"--mode conn --op delete --tid {TID} --sid 77 --cid 0"),
    ],
    ids=lambda value: value.split(" --tid")[0] if isinstance(value, str) else "",
)
def test_an_order_is_what_tgtadm_sends(order: Order, arguments: str) -> None:
    """Whatever version of it is installed."""
    heard: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has to be short
        path = Path(folder) / "tgt"
        with _listening(path.with_suffix(".0"), heard):
            subprocess.run(
                ["tgtadm", "--lld", "iscsi", *arguments.split()],
                env={**os.environ, "TGT_IPC_SOCKET": str(path)},
                timeout=20,
                check=True,
            )
    assert heard == [order.encoded()]
