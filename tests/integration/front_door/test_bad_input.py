"""Bad input is answered with the 4xx that names it; nothing is half-done, and nothing is a 5xx."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from shared.contract.http import MAX_BODY
from shared.contract.resources import Phase
from tests.integration.front_door.harness import (
    A_VM,
    Door,
    House,
    Neighbours,
    Tenant,
    a_resource,
)
from tests.support.bus import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Body → the pointers that the answer must name, exactly these.
BAD_FIELDS: list[tuple[Any, set[str]]] = [
    ({}, {"/image", "/flavor"}),
    ([], {""}),
    ("text", {""}),
    (None, {""}),
    ({**A_VM, "flavour": "x", "a/b~c": 1}, {"/flavour", "/a~1b~0c"}),
    ({"image": 1, "lease": {"ttl": 0}}, {"/image", "/flavor", "/lease/ttl"}),
    ({**A_VM, "flavor": None, "name": ""}, {"/flavor", "/name"}),
    ({**A_VM, "lease": {}}, {"/lease/ttl"}),
    ({**A_VM, "lease": {"ttl": 10, "until": 1}}, {"/lease/until"}),
    ({**A_VM, "lease": 5}, {"/lease"}),
    ({**A_VM, "lease": {"ttl": "60"}}, {"/lease/ttl"}),
    ({**A_VM, "lease": {"ttl": True}}, {"/lease/ttl"}),
    ({**A_VM, "lease": {"ttl": 1.5}}, {"/lease/ttl"}),
    ({**A_VM, "lease": {"ttl": 10**30}}, {"/lease/ttl"}),
    ({**A_VM, "deadline": -1}, {"/deadline"}),
    ({**A_VM, "floating_ip": "yes"}, {"/floating_ip"}),
    ({**A_VM, "floating_ip": None}, {"/floating_ip"}),
    ({**A_VM, "name": "-x"}, {"/name"}),
    ({**A_VM, "name": "x\n"}, {"/name"}),
    ({**A_VM, "name": "x" * 64}, {"/name"}),
    ({**A_VM, "name": "nul\u0000"}, {"/name"}),
    ({**A_VM, "image": "a\u0000b"}, {"/image"}),
    ({**A_VM, "image": "x" * 256}, {"/image"}),
    ({**A_VM, "labels": {"ok": "v", "a b": "v", "n": 1}}, {"/labels/a b", "/labels/n"}),
    ({**A_VM, "labels": {"nul": "\u0000"}}, {"/labels/nul"}),
    ({**A_VM, "labels": {f"k{n}": "" for n in range(65)}}, {"/labels"}),
    ({**A_VM, "labels": []}, {"/labels"}),
    ({**A_VM, "ssh_keys": ["nonsense", "ssh-ed25519 AAAA ok", 5]}, {"/ssh_keys/0", "/ssh_keys/2"}),
    ({**A_VM, "ssh_keys": ["ssh-ed25519 AAAA\nssh-rsa BBBB"]}, {"/ssh_keys/0"}),
    ({**A_VM, "ssh_keys": ["ssh-ed25519 AAAA"] * 65}, {"/ssh_keys"}),
    ({**A_VM, "user_data": ""}, {"/user_data"}),
    ({**A_VM, "user_data": "x" * 49153}, {"/user_data"}),
    ({**A_VM, "security_groups": ["a", ""]}, {"/security_groups/1"}),
    ({**A_VM, "arch": "ARM 64"}, {"/arch"}),
    ({**A_VM, "sealed_user_data": "eA=="}, {"/sealed_user_data"}),
    ({**A_VM, "id": "vm-1", "tenant": "x", "status": {}}, {"/id", "/tenant", "/status"}),
    ({**A_VM, "callback_url": 5}, {"/callback_url"}),
    ({**A_VM, "callback_url": "ftp://example.org/"}, {"/callback_url"}),
    ({**A_VM, "name": "", "callback_url": "http://[::1]/"}, {"/name", "/callback_url"}),
    ({**A_VM, "callback_url": "http://user:pass@example.org/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://127.0.0.1/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://169.254.169.254/latest/meta-data"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://[::1]:8080/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://[::ffff:10.0.0.1]/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://2130706433/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://0x7f.1/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://localhost/"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "https://" + "x" * 2100}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://exa mple.org/\u0000"}, {"/callback_url"}),
    ({**A_VM, "callback_url": "http://" + "a." * 200 + "org/"}, {"/callback_url"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointers"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
async def test_every_bad_field_is_named(
    door: Door, tenant: Tenant, body: Any, pointers: set[str]
) -> None:
    """422 with a JSON pointer to each, and to nothing else."""
    answer = await door.post("/v1/vms", tenant, json.dumps(body).encode())
    assert answer.status == 422, answer.body
    assert {error["pointer"] for error in answer.problem["errors"]} == pointers
    assert all(error["detail"] for error in answer.problem["errors"])
    assert (await door.get("/v1/vms", tenant)).json == {"items": []}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "bad_json"),
        (b"{", 400, "bad_json"),
        (b"{'image': 1}", 400, "bad_json"),
        (b'{"image": NaN}', 400, "bad_json"),
        (b'{"image": "\xff"}', 400, "bad_json"),
        (b'{"image": "\\ud800"}', 400, "bad_json"),
        ('{"image": "x"}'.encode("utf-16"), 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b'{"lease": ' * 20_000, 400, "bad_json"),
        (b'{"deadline": ' + b"9" * 10_000 + b"}", 400, "bad_json"),
        (b'{"a": 1} trailing', 400, "bad_json"),
        (b" " * (MAX_BODY + 1), 413, "body_too_large"),
        (b'{"image":"x","image":"y","flavor":"z"}', 422, "bad_fields"),
        (b'{"image":"x","flavor":"z","lease":{"ttl":1,"ttl":2}}', 422, "bad_fields"),
    ],
)
async def test_what_is_no_proper_json_is_refused(
    door: Door, tenant: Tenant, body: bytes, status: int, reason: str
) -> None:
    """400, or 413 for what is too large; names that come twice are named."""
    answer = await door.post("/v1/vms", tenant, body)
    assert (answer.status, answer.problem["reason"]) == (status, reason)
    if status == 422:
        assert answer.problem["errors"][0]["pointer"] in ("/image", "/lease/ttl")


async def test_a_huge_body_without_a_length_is_refused(door: Door, tenant: Tenant) -> None:
    """Chunked bodies are bounded just so."""

    async def chunks() -> Any:
        for _ in range(5):
            yield b" " * (MAX_BODY // 4)

    headers = {"Content-Type": "application/json"}
    answer = await door.request("POST", "/v1/vms", tenant, data=chunks(), headers=headers)
    assert (answer.status, answer.problem["reason"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "nonsense"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_content_types_are_refused(
    door: Door, tenant: Tenant, headers: dict[str, str]
) -> None:
    """415: JSON in UTF-8, not compressed, is what is taken."""
    data = json.dumps(A_VM).encode()
    data = gzip.compress(data) if "Content-Encoding" in headers else data
    answer = await door.request("POST", "/v1/vms", tenant, data=data, headers=headers)
    assert (answer.status, answer.problem["reason"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=" + "9" * 50, "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=%D9%A3", "limit"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%FF%FE", "cursor"),
        ("cursor=MTp2bS14", "cursor"),
        ("cursor=" + "A" * 5000, "cursor"),
        ("cursor=MTp2bS0wMW04NHcycmdjcjIzdzh0dDQxOTlwM21wbXk=", "cursor"),
        ("phase=flying", "phase"),
        ("phase=active,", "phase"),
        ("phase=", "phase"),
        ("label=", "label"),
        ("label=novalue", "label"),
        ("label==v", "label"),
        ("label=k=%00", "label"),
        ("label=bad%20key=v", "label"),
        ("label=k=" + "v" * 256, "label"),
        ("name=", "name"),
        ("name=%00", "name"),
        ("name=a&name=b", "name"),
        ("colour=red", "colour"),
        ("phases=active", "phases"),
    ],
)
async def test_absurd_query_parameters_are_named(
    door: Door, tenant: Tenant, query: str, parameter: str
) -> None:
    """400 with the parameter's name."""
    answer = await door.get(f"/v1/vms?{query}", tenant)
    assert answer.status == 400, answer.body
    assert [error["parameter"] for error in answer.problem["errors"]] == [parameter]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "é", "a\tb"])
async def test_an_absurd_idempotency_key_is_refused(door: Door, tenant: Tenant, key: str) -> None:
    """400: 1 to 255 printable ASCII characters."""
    answer = await door.post("/v1/vms", tenant, A_VM, headers={"Idempotency-Key": key})
    assert (answer.status, answer.problem["errors"][0]["parameter"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/vms", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/vms", 405),
        ("DELETE", "/v1/vms", 405),
        ("TRACE", "/v1/vms", 405),
        ("GET", "/docs/..%2f..%2fsettings.py", 404),
        ("GET", "/v1/webhooks/%00", 404),
        ("GET", "/v1/webhooks/" + "x" * 65, 404),
    ],
)
async def test_wrong_paths_and_methods_are_problems_too(
    door: Door, tenant: Tenant, method: str, path: str, status: int
) -> None:
    """404 and 405 are problem documents; 405 says what is allowed."""
    answer = await door.request(method, path, tenant)
    assert answer.status == answer.problem["status"] == status
    assert ("Allow" in answer.headers) == (status == 405)


async def test_bodies_of_other_routes_are_checked_alike(
    door: Door, neighbours: Neighbours, tenant: Tenant
) -> None:
    """Extend, update, power and webhooks name their bad fields too, and publish nothing."""
    resource = a_resource(tenant, Phase.ACTIVE, 1)
    await neighbours.publish_status(resource)
    path = f"/v1/vms/{resource.id}"

    async def there() -> bool:
        return (await door.get(path, tenant)).status == 200

    await until(there)
    hook = {"url": "http://10.0.0.1/"}
    for method, place, body, pointer in (
        ("POST", f"{path}/extend", {}, "/ttl"),
        ("POST", f"{path}/extend", {"ttl": 31 * 86400}, "/ttl"),
        ("PATCH", path, {}, ""),
        ("PATCH", path, {"labels": None}, ""),
        ("PATCH", path, {"flavor": "big"}, "/flavor"),
        ("PATCH", path, {"lease": {"ttl": []}}, "/lease/ttl"),
        ("POST", f"{path}/reboot", {"hard": True}, "/hard"),
        ("POST", "/v1/webhooks", {}, "/url"),
        ("POST", "/v1/webhooks", hook, "/url"),
        (
            "POST",
            "/v1/webhooks",
            {"url": "https://example.org", "kinds": ["vm", "ufo"]},
            "/kinds/1",
        ),
        ("POST", "/v1/webhooks", {"url": "https://e.org", "phases": ["x"]}, "/phases/0"),
        ("POST", "/v1/webhooks/wh-x/redeliver", {"delivery_id": "\u0000"}, "/delivery_id"),
    ):
        answer = await door.request(method, place, tenant, json=body)
        assert answer.status == 422, (place, answer.body)
        assert pointer in {error["pointer"] for error in answer.problem["errors"]}, place


async def test_a_flood_is_told_when_to_come_again(
    house: House, tenant: Tenant, other_tenant: Tenant
) -> None:
    """429 with Retry-After for the tenant that floods, and for no other."""
    async with house.replica(rate_limit="0.1", rate_burst="5") as door:
        answers = [await door.get("/v1/vms", tenant) for _ in range(8)]
        assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
        assert (answers[-1].problem["retryable"], "Retry-After" in answers[-1].headers) == (
            True,
            True,
        )
        assert (await door.get("/v1/vms", other_tenant)).status == 200


async def test_raw_nonsense_on_the_socket_does_not_hurt(door: Door, tenant: Tenant) -> None:
    """Bytes that no HTTP client would send get a 4xx or a closed connection."""
    port = door.service.port  # type: ignore[attr-defined]
    bearer = f"Authorization: Bearer {tenant.member}\r\n".encode()
    start = b"GET /v1/vms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + bearer
    for raw in (
        b"\x00\xff\x00\r\n\r\n",
        b"GET /v1/vms\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        start + b"Idempotency-Key: \xff\xfe\r\n\r\n",
        start + b"If-None-Match: \xff\xfe\r\n\r\n",
        start + b"traceparent: \xff\r\nPrefer: \xff=\xfe\r\n\r\n",
        start + b"X-Auth-Token: \xc3\x28\r\n\r\n",
        start + b"Accept: \xff\r\nLast-Event-ID: \xff\r\n\r\n",
        start + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
        start.replace(b"/v1/vms", b"/v1/vms?name=\xff\xfe&cursor=%ff") + b"\r\n",
        start.replace(b"/v1/vms", b"/v1/vms/%ff%fe") + b"\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        await writer.drain()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        assert b" 500 " not in answer[:20], (raw, answer)
    assert (await door.get("/v1/vms", tenant)).status == 200
