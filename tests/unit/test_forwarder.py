"""Containers that ask for the cloud all at once are all let in."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import IPv4Network

from tests.compose.forwarder import Forwarder

AT_ONCE = 100


def test_a_burst_of_connections_waits_at_the_door() -> None:
    """None is turned away, though nothing takes them yet."""
    with (
        Forwarder("127.0.0.1", IPv4Network("127.0.0.0/8"), 0, 1) as forwarder,
        contextlib.ExitStack() as stack,
    ):
        host, port = forwarder.server_address[:2]
        for _ in range(AT_ONCE):
            stack.enter_context(socket.create_connection((str(host), port), timeout=5))
