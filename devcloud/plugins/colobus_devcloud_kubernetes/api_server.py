"""What the host, and who makes load balancers, ask of the API server of a cluster."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PORT = 6443
SECONDS = 3.0
#: So long one look at what changes lasts before the next.
WATCH_SECONDS = 60
JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"


class Unanswered(RuntimeError):
    """It did not answer as it should; the message says how."""


class ApiServer:
    """A client with the administrator's certificate."""

    def __init__(self, address: str, pki: Path, name: str) -> None:
        self._address = address
        self._pki = pki
        self._name = name

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"https://{self._address}:{PORT}"

    def ready(self) -> bool:
        """Tell whether it serves."""
        try:
            return self._ask("GET", "/readyz")[0] == 200
        except Unanswered:
            return False

    def version(self) -> str:
        """Return what Kubernetes it is."""
        return str(self._object("/version")["gitVersion"])

    def nodes(self) -> dict[str, str]:
        """Return the nodes that have joined, with their addresses."""
        return {
            node["metadata"]["name"]: next(
                (
                    address["address"]
                    for address in node["status"].get("addresses", [])
                    if address["type"] == "InternalIP"
                ),
                "",
            )
            for node in self._object("/api/v1/nodes")["items"]
        }

    def forget_node(self, name: str) -> None:
        """Remove a node whose machine is gone, as a cloud's controller does."""
        status, body = self._ask("DELETE", f"/api/v1/nodes/{name}")
        if status not in (200, 404):
            raise Unanswered(body.decode(errors="replace"))

    def objects(self, path: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        return list(self._object(path)["items"])

    def create(self, path: str, content: Mapping[str, Any]) -> None:
        """Make an object, unless there is one of that name."""
        status, body = self._ask("POST", path, json.dumps(content))
        if status != 409:
            _content(status, body)

    def patch(self, path: str, change: dict[str, Any]) -> dict[str, Any] | None:
        """Change an object by a merge patch, and return it; None: there is none.

        With a `resourceVersion` in it, it changes what was seen and nothing newer: `Unanswered`.
        """
        status, body = self._ask("PATCH", path, json.dumps(change), MERGE_PATCH)
        return None if status == 404 else _content(status, body)

    def watch(self, path: str, seen: Callable[[], None]) -> None:
        """Call `seen` for each object there is of a kind, and at each change, for a minute."""
        wanted = f"{path}?watch=1&timeoutSeconds={WATCH_SECONDS}"
        connection = self._connection(WATCH_SECONDS + SECONDS)
        try:
            connection.request("GET", wanted)
            response = connection.getresponse()
            if response.status != 200:
                raise Unanswered(response.read().decode(errors="replace"))
            while response.readline():
                seen()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{self.url}{path}: {error}") from error
        finally:
            connection.close()

    def _object(self, path: str) -> dict[str, Any]:
        return _content(*self._ask("GET", path))

    def _ask(
        self, method: str, path: str, body: str | None = None, form: str = JSON
    ) -> tuple[int, bytes]:
        connection = self._connection(SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": form})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{self.url}{path}: {error}") from error
        finally:
            connection.close()

    def _connection(self, seconds: float) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self._pki / "ca.crt")
        context.load_cert_chain(self._pki / f"{self._name}.crt", self._pki / f"{self._name}.key")
        return http.client.HTTPSConnection(self._address, PORT, timeout=seconds, context=context)


def _content(status: int, body: bytes) -> dict[str, Any]:
    if status not in (200, 201):
        raise Unanswered(body.decode(errors="replace"))
    found: dict[str, Any] = json.loads(body)
    return found
