"""Whatever is sent, it is never a 5xx: bodies, queries, headers and paths made by Hypothesis."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contract.kinds import KINDS, Kind
from shared.contract.resources import Sort
from tests.integration.front_door.harness import A_VM, Answer, Door, House, Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")
examples: Callable[..., Any] = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck)
)

_texts = st.text(st.characters(codec="utf-8"), max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(
    ["image", "flavor", "name", "labels", "lease", "ssh_keys", "user_data", "callback_url", "ttl"]
)
_bodies = st.dictionaries(_fields | _texts, _json, max_size=8).map(lambda body: {**A_VM, **body})
_storage_fields = ["size_gib", "image", "snapshot", "volume", "initiator_iqn"]
_headers = st.dictionaries(
    st.sampled_from(
        ["Idempotency-Key", "Prefer", "If-None-Match", "If-Match", "Last-Event-ID", "traceparent"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")),
    max_size=3,
)
_queries = st.lists(
    st.tuples(
        st.sampled_from(["phase", "label", "name", "limit", "cursor", "other"]),
        _texts | st.binary(max_size=20),
    ),
    max_size=4,
)


def _not_our_fault(answer: Answer) -> None:
    assert answer.status < 500, (answer.status, answer.body)
    if answer.status >= 400:
        assert answer.problem["status"] == answer.status


@pytest.fixture(scope="module")
def fuzzer(house: House) -> Tenant:
    """The tenant whose things may be made and thrown away."""
    return house.tenant()


@examples
@given(body=_bodies | _json)
async def test_bodies(door: Door, fuzzer: Tenant, body: Any) -> None:
    """Accepted or refused, and never our fault."""
    _not_our_fault(await door.post("/v1/vms", fuzzer, json.dumps(body).encode()))


@examples
@given(
    kind=st.sampled_from([kind for kind in KINDS.values() if kind.sort is Sort.STORE]),
    fields=st.sets(st.sampled_from(_storage_fields), max_size=3),
    more=st.dictionaries(st.sampled_from(_storage_fields) | _texts, _json, max_size=2),
)
async def test_bodies_of_storage(
    door: Door, fuzzer: Tenant, kind: Kind, fields: set[str], more: dict[str, Any]
) -> None:
    """Good fields in any combination, among bad ones; what they refer to is there."""
    volume = await door.post("/v1/volumes", fuzzer, {"size_gib": 1})
    good = {"size_gib": 1, "image": "debian-12", "initiator_iqn": "iqn.2026-03.org.example"}
    good |= {"volume": volume.json["id"], "snapshot": "snapshot-01jnf6y3z8k2w9q4t7b5r1c0ga"}
    body = {field: good[field] for field in fields} | more
    _not_our_fault(await door.post(f"/v1/{kind.plural}", fuzzer, json.dumps(body).encode()))


@examples
@given(body=st.binary(max_size=200), content_type=st.sampled_from(["application/json", "", "a/b"]))
async def test_bytes(door: Door, fuzzer: Tenant, body: bytes, content_type: str) -> None:
    """Not even JSON."""
    headers = {"Content-Type": content_type}
    for method, path in (("POST", "/v1/vms"), ("POST", "/v1/webhooks")):
        _not_our_fault(await door.request(method, path, fuzzer, data=body, headers=headers))


@examples
@given(query=_queries, place=st.sampled_from(["vms", "resources", "events"]))
async def test_queries(
    door: Door, fuzzer: Tenant, query: list[tuple[str, str | bytes]], place: str
) -> None:
    """Any parameters, any bytes in them."""
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
    _not_our_fault(await door.get(f"/v1/{place}?{text}", fuzzer))


@examples
@given(headers=_headers)
async def test_headers(door: Door, fuzzer: Tenant, headers: dict[str, str]) -> None:
    """Any text in the headers that are read (waits cut short, so that the test isn't long)."""
    if "wait" in headers.get("Prefer", ""):
        headers["Prefer"] = "wait=0"
    for answer in (
        await door.post("/v1/vms", fuzzer, A_VM, headers=headers),
        await door.get("/v1/vms?limit=1", fuzzer, headers=headers),
    ):
        _not_our_fault(answer)


@examples
@given(part=_texts.filter(lambda text: text not in ("", ".", "..")))
async def test_paths(door: Door, fuzzer: Tenant, part: str) -> None:
    """Any id."""
    for path in ("/v1/vms/{}", "/v1/vms/{}/events", "/v1/vms/{}/reboot", "/docs/{}"):
        for method in ("GET", "DELETE", "POST"):
            answer = await door.request(method, path.format(quote(part, safe="")), fuzzer)
            _not_our_fault(answer)
