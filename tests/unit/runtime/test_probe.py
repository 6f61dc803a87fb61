"""What an orchestrator's health check says of a service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from shared.runtime.probe import probe


@contextmanager
def _serving(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"broker: failed")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_ready_service_is_healthy() -> None:
    """Nothing is wrong with 200."""
    with _serving(200) as port:
        assert probe(port, tls=False) == ""


def test_a_service_that_is_not_ready_says_which_check_fails() -> None:
    """So that `docker inspect` shows the reason."""
    with _serving(503) as port:
        assert probe(port, tls=False) == "503 broker: failed"


def test_a_dead_service_is_a_fault_in_one_line() -> None:
    """Nobody listens there any more."""
    with _serving(200) as port:
        pass
    assert probe(port, tls=False).startswith("ConnectionRefusedError")
