"""Documents, health, and what every answer carries."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import validate

from tests.integration.front_door.harness import Door, Tenant
from tests.support.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_served_openapi_document_is_valid(door: Door) -> None:
    """Anybody may read it."""
    answer = await door.request("GET", "/openapi.json")
    validate(answer.json)
    assert answer.json["openapi"].startswith("3.1")


async def test_the_bus_is_described_too(door: Door) -> None:
    """As AsyncAPI 3 (`tests/contract/test_asyncapi.py` looks at it closely)."""
    answer = await door.request("GET", "/asyncapi.json")
    assert answer.json["asyncapi"] == "3.0.0"
    assert "colobus.requests" in answer.json["channels"]


async def test_the_documentation_page_needs_nothing_from_elsewhere(door: Door) -> None:
    """Every address in the page and its parts is our own, and is there; `/` leads to it."""
    home = await door.request("GET", "/")
    assert (home.status, home.headers["Location"]) == (302, "/docs")
    page = await door.request("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.body.decode()):
        part = await door.request("GET", address)
        assert part.status == 200, address
        assert b"//" not in re.sub(rb"^\s*//.*$", b"", part.body, flags=re.MULTILINE) or (
            address == "/openapi.json"
        )


async def test_health_is_open_and_tells_what_is_missing(door: Door) -> None:
    """Live, ready with named checks, and metrics by route."""
    assert (await door.request("GET", "/healthz")).status == 200

    async def ready() -> bool:
        answer = await door.request("GET", "/readyz")
        assert answer.json["checks"].keys() == {"database", "broker"}
        return answer.status == 200

    # A test before this one may have cut the connections that are just being re-made.
    await eventually(ready, what="the front door is ready")
    metrics = (await door.request("GET", "/metrics")).body.decode()
    assert 'colobus_http_request_seconds_count{method="GET",route="/healthz"' in metrics


async def test_every_answer_carries_its_request_id_and_security_headers(
    door: Door, tenant: Tenant
) -> None:
    """Problems too, and they name the request."""
    for answer in (
        await door.get("/v1/vms", tenant),
        await door.get("/v1/nothing", tenant),
        await door.request("GET", "/docs"),
    ):
        request_id = answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        if answer.status >= 400:
            assert answer.problem["instance"] == f"urn:colobus:request:{request_id}"
