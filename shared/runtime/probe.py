"""``python -m shared.runtime.probe``: exit 0 when the service in this container is ready.

For an orchestrator's health check, where there is no other HTTP client. It asks our own listener
on loopback, so the certificate is not verified where HTTP is over TLS.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

_SECONDS = 4.0
_HOST = "127.0.0.1"


def probe(port: int, *, tls: bool, path: str = "/readyz") -> str:
    """Return what is wrong, in one line; nothing when the service says that it is ready."""
    if tls:
        context = ssl._create_unverified_context()  # noqa: S323 - our own loopback
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            _HOST, port, timeout=_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(_HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{answer.status} {body}"


def main() -> None:
    """Probe what the environment says: ``COLOBUS_HTTP_PORT``, ``COLOBUS_HTTP_TLS_CERT_FILE``."""
    port = int(os.environ["COLOBUS_HTTP_PORT"])
    fault = probe(port, tls=bool(os.environ.get("COLOBUS_HTTP_TLS_CERT_FILE")))
    if fault:
        sys.exit(fault)


if __name__ == "__main__":
    main()
