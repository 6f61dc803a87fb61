"""The few questions that the host has for the API server of a cluster."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PORT = 6443
SECONDS = 3.0


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

    def make(self, path: str, what: Mapping[str, Any]) -> None:
        """Make an object that is to be there; one that is there stays as it is."""
        status, body = self._ask("POST", path, json.dumps(what))
        if status not in (201, 409):
            raise Unanswered(body.decode(errors="replace"))

    def _object(self, path: str) -> dict[str, Any]:
        status, body = self._ask("GET", path)
        if status != 200:
            raise Unanswered(body.decode(errors="replace"))
        found: dict[str, Any] = json.loads(body)
        return found

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=self._pki / "ca.crt")
        context.load_cert_chain(self._pki / f"{self._name}.crt", self._pki / f"{self._name}.key")
        connection = http.client.HTTPSConnection(
            self._address, PORT, timeout=SECONDS, context=context
        )
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, body, headers if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{self.url}{path}: {error}") from error
        finally:
            connection.close()
