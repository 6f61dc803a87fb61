"""From containers to listeners on this machine's loopback, and to nothing else."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

_CHUNK = 65536


class Forwarder(socketserver.ThreadingTCPServer):
    """``port`` is where it leads to on loopback."""

    daemon_threads = True
    allow_reuse_address = True
    #: How many may knock at once; by default 5, and a burst of builds would be turned away.
    request_queue_size = 128

    def __init__(self, gateway: str, network: IPv4Network, listen: int, port: int) -> None:
        self.network, self.port = network, port
        super().__init__((gateway, listen), _Connection)

    def verify_request(self, _: object, client_address: object) -> bool:
        """Only containers: the address could be reachable from a neighbour on the network."""
        assert isinstance(client_address, tuple)
        return IPv4Address(client_address[0]) in self.network


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Forwarder)
        target = ("127.0.0.1", self.server.port)
        with contextlib.suppress(OSError), socket.create_connection(target) as inside:
            back = threading.Thread(target=_pump, args=(inside, self.request), daemon=True)
            back.start()
            _pump(self.request, inside)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def forwarding(
    gateway: str, network: IPv4Network, ports: Mapping[int, int]
) -> Iterator[list[Forwarder]]:
    """Listen on ``gateway``, for the addresses of ``network`` alone.

    ``ports``: {port there (0: a free one): port on this machine's loopback}.
    """
    with contextlib.ExitStack() as stack:
        servers = []
        for listen, port in ports.items():
            server = stack.enter_context(Forwarder(gateway, network, listen, port))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        yield servers
