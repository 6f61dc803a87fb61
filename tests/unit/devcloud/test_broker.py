"""Emptying a queue, where the broker does not answer; the rest is tested on a real one."""

from __future__ import annotations

import socket

import pytest

from devcloud.broker import QueueNotEmptied, empty_queue


def test_a_broker_that_cannot_be_asked_has_not_emptied_its_queue() -> None:
    """Nobody may take its orders for gone."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and listen to nothing
        port = nobody.getsockname()[1]
        with pytest.raises(QueueNotEmptied, match="orders"):
            empty_queue(f"amqp://me:secret@127.0.0.1:{port}/", "orders")
