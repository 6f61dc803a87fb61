"""No secret on the bus, in a table or in a log: everything is searched after all were used.

Everybody is as talkative as can be: the services log at level debug, the database each statement.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiormq
import asyncpg
import pytest
import yaml

from colobus.client import Client
from colobus.credentials import KeystoneToken
from colobus.errors import ResourceEnded
from colobus.models import CreateVm, NewWebhook, Phase
from services.admin.credentials import OPENERS
from shared.contract import topology
from shared.runtime.secrets import seal
from tests.end_to_end.conftest import QUOTAS
from tests.support.ci import SPEC, CiSystem, refused
from tests.support.cloud import Cloud
from tests.support.conditions import eventually
from tests.support.installation import SERVICES, Installation, installation, with_login
from tests.support.leaks import Leaks, ServerLogs, Tap, forms, search
from tests.support.webhooks import Receiver

DEBUG = {service: {"COLOBUS_LOG_LEVEL": "debug"} for service in SERVICES}


@pytest.fixture(scope="module")
def logs(environment: dict[str, str]) -> ServerLogs:
    """What broker and database log, from before there is an installation."""
    return ServerLogs.from_now_on()


@pytest.fixture(scope="module")
def colobus(
    environment: dict[str, str], logs: ServerLogs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All services, logging all that they can."""
    with installation(environment, tmp_path_factory.mktemp("secrets"), QUOTAS, DEBUG) as made:
        talkative = f"ALTER DATABASE {made.name} SET log_statement TO 'all'"
        asyncio.run(_execute(made, talkative))
        made.start()
        yield made


@pytest.fixture(scope="module")
def cloud(environment: dict[str, str], colobus: Installation) -> Iterator[Cloud]:
    """The cloud as its administrator sees it."""
    seen = Cloud(environment, colobus.name)
    yield seen
    colobus.stop()
    seen.clear()


async def _execute(colobus: Installation, statement: str) -> None:
    """Execute it as the administrator."""
    database = await asyncpg.connect(str.__str__(colobus.admin.admin_database_dsn))
    try:
        await database.execute(statement)
    finally:
        await database.close()


def _passwords_in_urls(colobus: Installation) -> dict[str, bytes]:
    """The services' and tenants' passwords on broker and database, and that on the clouds' own."""
    urls = {f"{tenant} on the broker": colobus.amqp_url(tenant) for tenant in colobus.tokens}
    for service in SERVICES:
        environment = colobus.environment(service)
        urls[f"{service} on the broker"] = environment["COLOBUS_AMQP_URLS"]
        urls[f"{service} in the database"] = environment.get("COLOBUS_DATABASE_DSN", "")
    notifications = colobus.environment("vm_worker")["COLOBUS_NOTIFICATIONS_URLS"]
    urls["vm_worker on the clouds' broker"] = notifications.partition("=")[2]
    passwords = {name: urlsplit(url).password for name, url in urls.items()}
    return {name: password.encode() for name, password in passwords.items() if password}


def _keys(colobus: Installation) -> dict[str, bytes]:
    """The files of the credentials that are keys, in base64 and as they are."""
    folder = colobus.admin.credentials_dir
    found: dict[str, bytes] = {}
    for name in ("master.key", *(f"{one}.sealing.key" for one in OPENERS)):
        text = (folder / name).read_text().strip()
        found |= {f"{name} (base64)": text.encode(), name: base64.b64decode(text)}
    return found


def _keystone_passwords(environment: dict[str, str]) -> dict[str, bytes]:
    clouds = yaml.safe_load(Path(environment["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
    return {
        f"{name} in Keystone": cloud["auth"]["password"].encode() for name, cloud in clouds.items()
    }


@pytest.mark.timeout(1800)
async def test_no_secret_is_found_anywhere(
    environment: dict[str, str],
    colobus: Installation,
    cloud: Cloud,
    receiver: Receiver,
    logs: ServerLogs,
) -> None:
    """Messages as they passed, queues, tables, logs, metrics; raw, quoted, hex and base64."""
    by_post, by_bus, in_vain = (f"user-data-{secrets.token_hex(16)}" for _ in range(3))
    keystone_token = cloud.connect("alice").authorize()
    used = {
        "user_data by POST": by_post.encode(),
        "user_data by bus": by_bus.encode(),
        "user_data of a VM that failed": in_vain.encode(),
        "alice's Keystone token": keystone_token.encode(),
        **{f"{tenant}'s token": token.encode() for tenant, token in colobus.tokens.items()},
        **_passwords_in_urls(colobus),
        **_keys(colobus),
        **_keystone_passwords(environment),
    }
    async with Tap.on(colobus, logs) as tap:
        used |= await _use_webhook_secrets(colobus, keystone_token, receiver)
        await _use_user_data(colobus, receiver, by_post, by_bus, in_vain)
        leaks = Leaks(used)
        await search(leaks, colobus, tap)
    assert leaks.found == set()
    seen = {key.partition(".")[2] for key, _ in tap.taken if key.startswith("publish.")}
    expected = {topology.REQUESTS, topology.COMMANDS, topology.EVENTS, topology.STATUS}
    assert expected | {topology.QUERIES, ""} <= seen
    assert leaks.bytes_seen > 100_000
    said = dict(logs.said())
    # They did log: who connects, and what was written, values included.
    assert f"ci-bigtop-{colobus.name}".encode() in said["rabbitmq.log"]
    assert b"INSERT INTO tenant_requests" in said["postgresql.log"]
    assert b"parameters: $1 = 'bigtop'" in said["postgresql.log"]


async def _use_webhook_secrets(
    colobus: Installation, keystone_token: str, receiver: Receiver
) -> dict[str, bytes]:
    """Subscribe, rotate, and ask for the callback secret, as a person; return the secrets."""
    async with Client(colobus.url, credentials=KeystoneToken(keystone_token)) as alice:
        made = await alice.webhooks.create(NewWebhook(url=receiver.url("/secrets")))
        rotated = await alice.webhooks.rotate_secret(made.webhook.id)
        callback = await alice.webhooks.callback_secret()
    texts = {"first": made.secret, "second": rotated.secret, "callback": callback}
    found = {f"webhook secret {name}": text.encode() for name, text in texts.items()}
    keys = {name: text.removeprefix("whsec_") for name, text in texts.items()}
    return found | {f"webhook key {name}": base64.b64decode(key) for name, key in keys.items()}


async def _use_user_data(
    colobus: Installation, receiver: Receiver, by_post: str, by_bus: str, in_vain: str
) -> None:
    """A VM by each way, with user data and a callback, from nothing to nothing."""
    url = receiver.url("/callback")
    told = colobus.environment("front_door")["COLOBUS_SEALING_PUBLIC_KEYS"].split(",")
    key = dict(pair.split("=", 1) for pair in told)["vm_worker"]
    async with (
        Client(colobus.url, token=colobus.tokens["bigtop"]) as client,
        CiSystem.of("bigtop", colobus.amqp_url("bigtop")) as ci,
    ):
        posted = await client.create_vm(
            CreateVm(image="debian-12", flavor="small", user_data=by_post, callback_url=url),
            idempotency_key=f"secrets-{secrets.token_hex(8)}",
        )
        unmakeable = CreateVm(image="debian-12", flavor="no-such", user_data=in_vain)
        failing = await client.create_vm(unmakeable)
        with pytest.raises(ResourceEnded, match="no-such"):
            await client.wait(failing.id, timeout=120)
        sealed = {"sealed_user_data": seal(key, by_bus.encode())}
        published = await ci.create(spec={**SPEC, **sealed}, callback_url=url)
        for vm in (posted.id, published):
            await ci.until(vm, "active", within=120)
        damaged = {"sealed_user_data": base64.b64encode(b"x" * 100).decode()}
        await ci.until(await ci.create(spec={**SPEC, **damaged}), "failed", within=120)
        for vm in (posted.id, published):
            await ci.do("delete", vm)
            await client.wait(vm, Phase.DELETED, timeout=120)
    await receiver.until(lambda: any(r.phase == "deleted" for r in receiver.at("/callback")))


async def test_the_search_finds_what_is_planted(colobus: Installation) -> None:
    """In a message on any exchange, in a queue, in a table as text and as bytes, and in any log."""
    places = ("bus", "queue", "text", "bytes", "log", "broker's log", "database's log")
    planted = {place: secrets.token_hex(16).encode() for place in places}
    leaks = Leaks(planted)
    async with Tap.on(colobus) as tap:
        admin = await aiormq.connect(colobus.admin.admin_amqp_url[0])
        channel = await admin.channel()
        body = json.dumps({"deep": [base64.b64encode(b"{" + planted["bus"] + b"}").decode()]})
        await channel.basic_publish(body.encode(), exchange=topology.STATUS, routing_key="x.y.z")
        await channel.basic_publish(planted["queue"], routing_key="dead_letters")
        database = await asyncpg.connect(str.__str__(colobus.admin.admin_database_dsn))
        await database.execute("CREATE TABLE front_door.planted (a text, b bytea)")
        await database.execute(
            "INSERT INTO front_door.planted VALUES ($1, $2)",
            base64.urlsafe_b64encode(b"password=" + planted["text"]).decode(),
            b"\0\1" + planted["bytes"],
        )
        with colobus.log("scheduler").open("ab") as log:
            log.write(b'{"url": "amqp://u:' + planted["log"] + b'@h"}\n')
        await _tell_servers(colobus, tap, planted)
        await search(leaks, colobus, tap)
        await database.execute("DROP TABLE front_door.planted")
        await database.close()
        await admin.close()
    assert {name for name, _ in leaks.found} == set(planted)
    assert ("bytes", "front_door.planted") in leaks.found
    assert ("queue", "dead_letters") in leaks.found
    assert ("broker's log", "rabbitmq.log") in leaks.found
    assert ("database's log", "postgresql.log") in leaks.found


async def _tell_servers(colobus: Installation, tap: Tap, planted: dict[str, bytes]) -> None:
    """Have them log a secret themselves: as a user who isn't known, and in a statement."""
    unknown = with_login(
        str.__str__(colobus.admin.admin_amqp_url[0]), planted["broker's log"].decode(), "no"
    )
    with pytest.raises(aiormq.AMQPError):
        await aiormq.connect(unknown)
    in_sql = planted["database's log"].decode()
    await _execute(colobus, f"SELECT '{in_sql}'")

    async def logged() -> bool:
        return all(
            planted[f"{who}'s log"] in dict(tap.logs.said())[log]
            for who, log in (("broker", "rabbitmq.log"), ("database", "postgresql.log"))
        )

    await eventually(logged, what="both have logged it")


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_a_secret_is_known_in_base64_wherever_it_begins(before: bytes) -> None:
    """It needn't begin where a group of three bytes does."""
    secret = secrets.token_bytes(24)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert any(form in encode(before + secret + b"after") for form in forms(secret))
    assert not any(form in encode(before + secrets.token_bytes(24)) for form in forms(secret))


async def test_a_secret_in_the_clear_by_bus_is_not_kept(
    colobus: Installation, logs: ServerLogs
) -> None:
    """It is refused, and what lies among the dead letters is without it."""
    secret = secrets.token_hex(16)
    async with CiSystem.of("bigtop", colobus.amqp_url("bigtop")) as ci:
        data = {"verb": "create", "kind": "vm", "spec": {**SPEC, "user_data": secret}}
        problem = refused(await ci.ask(data))
    assert [error["pointer"] for error in problem["errors"]] == ["/data/spec/user_data"]
    leaks = Leaks({"user_data": secret.encode()})
    await search(leaks, colobus, Tap(logs))
    assert leaks.found == set()
