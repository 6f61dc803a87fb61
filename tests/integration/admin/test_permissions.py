"""Least privilege, asked of the real broker and database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiormq
import asyncpg
import pytest
from aiormq.abc import FieldTable
from pamqp.commands import Basic

from services.admin.access import ACCESS
from services.admin.broker import open_management, virtual_host
from services.admin.environment import amqp_urls, environment_of
from services.admin.install import install
from services.admin.management import Management
from services.admin.policies import ENDLESS, TENANT_LIMITS, TENANT_QUEUE
from services.admin.settings import AdminSettings
from shared.bus import ConsumerLost, PublishRefused, RejectedMessage
from shared.contract import topology
from shared.contract.codec import Envelope, envelope_for
from shared.contract.messages import GetQuota, Message, QuotaReported
from shared.contract.outgoing import OutgoingMessage
from shared.contract.topology import Binding
from shared.runtime.errors import TemporaryError
from tests.support.bus import Recorder, a_command, an_event, bus_at, until
from tests.support.conditions import eventually

pytestmark = pytest.mark.timeout(180)


def _urls(settings: AdminSettings, service: str) -> str:
    return environment_of(service, settings)["COLOBUS_AMQP_URLS"]


def _message(exchange: str, key: str) -> OutgoingMessage:
    event = an_event()
    return OutgoingMessage(exchange, key, event.id, event.type, event.body)


@pytest.fixture
async def vhost_of(installation: AdminSettings) -> AsyncIterator[Management]:
    """The broker's HTTP API, as its administrator."""
    async with open_management(installation) as management:
        yield management


#: What would do the most harm, one by one; `test_every_permission` tries all there is.
FORBIDDEN = [
    ("front_door", topology.COMMANDS, "vm_worker.ProvisionVm"),
    ("front_door", topology.EVENTS, "bigtop.vm.VmObserved"),
    ("front_door", topology.STATUS, "bigtop.vm.active"),
    ("front_door", "", "scheduler.requests"),
    ("front_door", topology.delay_exchange(1), "scheduler.requests"),
    ("scheduler", topology.REQUESTS, "bigtop.vm.create"),
    ("scheduler", topology.EVENTS, "bigtop.vm.VmObserved"),
    ("vm_worker", topology.REQUESTS, "bigtop.vm.create"),
    ("vm_worker", topology.COMMANDS, "vm_worker.ProvisionVm"),
    ("vm_worker", topology.STATUS, "bigtop.vm.active"),
    ("vm_worker", topology.EVENTS, "bigtop.machine.MachineObserved"),
    ("vm_worker", topology.QUERIES, "webhook_worker.GetCallbackSecret"),
    ("vm_worker", topology.delay_exchange(1), "scheduler.requests"),
    ("webhook_worker", topology.EVENTS, "bigtop.vm.VmObserved"),
    ("webhook_worker", topology.STATUS, "bigtop.vm.active"),
    # The ways past tenants' queues are no ways past permissions.
    ("front_door", topology.for_ours(topology.STATUS), "bigtop.vm.active"),
    ("vm_worker", topology.for_ours(topology.STATUS), "bigtop.vm.active"),
    ("vm_worker", topology.for_ours(topology.EVENTS), "bigtop.webhook.WebhookDisabled"),
    ("webhook_worker", topology.for_ours(topology.EVENTS), "bigtop.vm.VmObserved"),
    # A dead command ends its step: only its worker may bury it.
    ("front_door", topology.DEAD_LETTERS, "vm_worker.ProvisionVm"),
    ("scheduler", topology.DEAD_LETTERS, "vm_worker.ProvisionVm"),
    ("webhook_worker", topology.DEAD_LETTERS, "vm_worker.ProvisionVm"),
    ("webhook_worker", topology.DEAD_LETTERS, "vm_worker.commands"),
    ("vm_worker", topology.DEAD_LETTERS, "webhook_worker.ProvisionVm"),
    ("vm_worker", topology.DEAD_LETTERS, "bigtop.vm.create"),
]


async def test_services_cannot_publish_where_they_should_not(installation: AdminSettings) -> None:
    """The broker refuses each message of the table, and the publisher is told so."""
    for service in sorted({owner for owner, _, _ in FORBIDDEN}):
        async with bus_at(_urls(installation, service), name=service) as bus:
            for owner, exchange, key in FORBIDDEN:
                if owner == service:
                    with pytest.raises(PublishRefused, match="ACCESS_REFUSED"):
                        await bus.publish(_message(exchange, key))


async def test_services_cannot_read_the_queues_of_others(installation: AdminSettings) -> None:
    """Nor bind a live queue to an exchange that is not theirs to follow."""
    async with bus_at(_urls(installation, "vm_worker"), name="vm_worker") as bus:
        for queue in ("scheduler.requests", "front_door.status", "dead_letters"):
            with pytest.raises(ConsumerLost, match="ACCESS_REFUSED"):
                await bus.consume(queue, Recorder())
        with pytest.raises(ConsumerLost, match="ACCESS_REFUSED"):
            await bus.subscribe_live([Binding(topology.STATUS, "#")], Recorder())


async def test_every_service_can_do_its_own_work(installation: AdminSettings) -> None:
    """Check the topology, consume its queues, delay and dead-letter, with its own user."""
    for service, access in ACCESS.items():
        async with bus_at(_urls(installation, service), name=service) as bus:
            await bus.check_topology()
            for queue in access.consumes:
                await bus.consume(queue, Recorder())


async def test_a_command_goes_its_way_under_the_services_own_users(
    installation: AdminSettings,
) -> None:
    """Scheduler → worker, delayed once, rejected, back to the scheduler as a dead command."""
    delivered, dead = Recorder(), Recorder()

    async def work(delivery: object) -> None:
        await delivered(delivery)  # type: ignore[arg-type]
        if len(delivered.deliveries) == 1:
            raise TemporaryError("not now")
        raise RejectedMessage("never")

    async with (
        bus_at(_urls(installation, "scheduler"), name="scheduler") as scheduler,
        bus_at(_urls(installation, "vm_worker"), name="vm_worker") as worker,
    ):
        await worker.consume("vm_worker.commands", work)
        await scheduler.consume("scheduler.dead_commands", dead)
        await scheduler.publish(a_command())
        [letter] = await dead.wait_for(1)
        await worker.publish(an_event())
    user = f"colobus-scheduler-{installation.role_suffix}"
    assert [d.user_id for d in delivered.deliveries] == [user, user]
    assert letter.headers["x-colobus-user"] == user
    assert letter.headers["x-colobus-reason"] == "never"


async def test_the_front_door_asks_and_follows_under_its_own_user(
    installation: AdminSettings,
) -> None:
    """Queries over direct reply-to, and live queues of its own name."""
    question, answer = GetQuota(), QuotaReported(limits={}, used={}, waiting=0)
    seen = Recorder()

    async def serve(_: Envelope, __: Message) -> Message:
        return answer

    async with (
        bus_at(_urls(installation, "front_door"), name="front_door") as front_door,
        bus_at(_urls(installation, "scheduler"), name="scheduler") as scheduler,
        bus_at(_urls(installation, "vm_worker"), name="vm_worker") as worker,
    ):
        await scheduler.serve_queries("scheduler", serve)
        asked = envelope_for(question, source="front_door", subject="bigtop", tenant="bigtop")
        assert await front_door.query("scheduler", asked, question) == answer
        live = [Binding(topology.EVENTS, "#"), Binding(topology.STATUS, "#")]
        await front_door.subscribe_live(live, seen)
        await worker.publish(an_event())
        await seen.wait_for(1)


@asynccontextmanager
async def _tenant_channel(settings: AdminSettings, tenant: str) -> AsyncIterator[aiormq.Channel]:
    user = f"{tenant}-{settings.role_suffix}"
    password = (settings.credentials_dir / f"{user}.amqp").read_text().strip()
    connection = await aiormq.connect(amqp_urls(settings, user, password))
    try:
        channel = await connection.channel()
        assert isinstance(channel, aiormq.Channel)
        yield channel
    finally:
        await connection.close()


async def test_a_tenant_can_ask_and_follow_on_the_bus(installation: AdminSettings) -> None:
    """Its CI publishes requests under its own user, and reads its own status messages."""
    user = f"bigtop-{installation.role_suffix}"
    async with (
        _tenant_channel(installation, "bigtop") as channel,
        bus_at(_urls(installation, "scheduler"), name="scheduler") as scheduler,
    ):
        status: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        async def arrive(message: object) -> None:
            status.set_result(message)

        await channel.queue_declare(f"{user}.status")
        await channel.queue_bind(f"{user}.status", topology.STATUS, routing_key="bigtop.#")
        await channel.basic_consume(f"{user}.status", arrive, no_ack=True)
        await scheduler.publish(_message(topology.STATUS, "bigtop.vm.active"))
        async with asyncio.timeout(30):
            await status
        own = Basic.Properties(user_id=user)
        seen = Recorder()
        await scheduler.consume("scheduler.requests", seen)
        await channel.basic_publish(
            an_event().body,
            exchange=topology.REQUESTS,
            routing_key="bigtop.vm.create",
            properties=own,
        )
        [delivery] = await seen.wait_for(1)
    assert delivery.user_id == user


TRESPASSES = {
    "asking for another tenant": ("publish", topology.REQUESTS, "zuul.vm.create"),
    "asking a worker": ("publish", topology.QUERIES, "vm_worker.GetVmCatalog"),
    "asking under no tenant's key": ("publish", topology.REQUESTS, "bigtop"),
    "forging a status": ("publish", topology.STATUS, "bigtop.vm.active"),
    "burying something": ("publish", topology.DEAD_LETTERS, "vm_worker.ProvisionVm"),
    "delaying something": ("publish", topology.delay_exchange(1), "scheduler.requests"),
    "commanding a worker": ("publish", topology.COMMANDS, "vm_worker.ProvisionVm"),
    "forging an event": ("publish", topology.EVENTS, "bigtop.vm.VmObserved"),
    "forging an event to us": ("publish", "colobus.events.ours", "bigtop.vm.VmObserved"),
    "following our own way": ("bind", "colobus.events.ours", "bigtop.vm.*"),
    "writing to a queue directly": ("publish", "", "scheduler.requests"),
    "following another tenant": ("bind", topology.STATUS, "zuul.#"),
    "following everybody": ("bind", topology.STATUS, "#"),
    "following everybody's events": ("bind", topology.EVENTS, "*.vm.*"),
    "following commands": ("bind", topology.COMMANDS, "#"),
    "reading a work queue": ("consume", "scheduler.events", ""),
    "reading the dead letters": ("consume", "dead_letters", ""),
    "following dead letters": ("bind", topology.DEAD_LETTERS, "#"),
    "following requests": ("bind", topology.REQUESTS, "bigtop.#"),
    "following queries": ("bind", topology.QUERIES, "#"),
    "reading another tenant's queue": ("consume", "{other}.q", ""),
    "taking a message of another tenant's": ("get", "{other}.q", ""),
    "emptying another tenant's queue": ("purge", "{other}.q", ""),
    "deleting another tenant's queue": ("delete", "{other}.q", ""),
    "deleting a work queue": ("delete", "scheduler.requests", ""),
    "unbinding a work queue": ("unbind", topology.REQUESTS, "#"),
    "taking another tenant's name for a queue": ("declare", "{other}.q2", ""),
    "taking a name that only begins alike": ("declare", "{user}x.q", ""),
    "taking a name that the broker gives": ("declare", "", ""),
    "making an exchange": ("exchange", "{user}x", ""),
    "letting a queue's dead letters go elsewhere": ("dead-letter", topology.COMMANDS, ""),
    "taking a foreign name for a queue": ("declare", "scheduler.spy", ""),
    "posing as another user": ("pose", topology.REQUESTS, "bigtop.vm.create"),
}


async def test_a_tenant_cannot_trespass(installation: AdminSettings) -> None:
    """Each of the table is refused by the broker itself."""
    user, other = (f"{tenant}-{installation.role_suffix}" for tenant in ("bigtop", "zuul"))
    refusals = (aiormq.ChannelAccessRefused, aiormq.ChannelPreconditionFailed)
    async with _tenant_channel(installation, "zuul") as theirs:
        await theirs.queue_declare(f"{other}.q")
        for what, where, key in TRESPASSES.values():
            async with _tenant_channel(installation, "bigtop") as channel:
                await channel.queue_declare(f"{user}.q", auto_delete=True)
                named = where.format(user=user, other=other)
                with pytest.raises(refusals):
                    await _trespass(channel, what, named, key, f"{user}.q")
        await theirs.queue_delete(f"{other}.q")


async def _trespass(
    channel: aiormq.Channel, what: str, where: str, key: str, own_queue: str
) -> None:
    async def ignore(_: object) -> None:
        """Nothing arrives."""

    if what == "publish":
        await channel.basic_publish(b"", exchange=where, routing_key=key)
    elif what == "pose":
        posing = Basic.Properties(user_id="colobus-front-door")
        await channel.basic_publish(b"", exchange=where, routing_key=key, properties=posing)
    elif what == "bind":
        await channel.queue_bind(own_queue, where, routing_key=key)
    elif what == "unbind":
        await channel.queue_unbind("scheduler.requests", where, routing_key=key)
    elif what == "consume":
        await channel.basic_consume(where, ignore)
    elif what == "get":
        await channel.basic_get(where)
    elif what == "purge":
        await channel.queue_purge(where)
    elif what == "delete":
        await channel.queue_delete(where)
    elif what == "exchange":
        await channel.exchange_declare(where)
    elif what == "dead-letter":
        arguments: FieldTable = {"x-dead-letter-exchange": where}
        await channel.queue_declare(f"{own_queue}.leak", arguments=arguments)
    else:
        await channel.queue_declare(where)


async def test_a_tenants_queues_are_bounded_whatever_they_are_made_with(
    installation: AdminSettings, vhost_of: Management
) -> None:
    """By a policy on their names, which no other queue has."""
    user = f"bigtop-{installation.role_suffix}"
    async with _tenant_channel(installation, "bigtop") as channel:
        await channel.queue_declare(f"{user}.many", arguments={"x-max-length": 10**9})

        async def effective() -> Mapping[str, Any] | None:
            shown = await vhost_of.get("queues", virtual_host(installation), f"{user}.many")
            found: Mapping[str, Any] | None = shown.get("effective_policy_definition")
            return found

        assert await eventually(effective, what="the policy is in effect") == TENANT_QUEUE
        await channel.queue_delete(f"{user}.many")
    limits = [e["value"] for e in await vhost_of.get("user-limits") if e["user"] == user]
    assert limits == [TENANT_LIMITS]


async def test_dead_letters_are_never_given_up(
    installation: AdminSettings, vhost_of: Management
) -> None:
    """A limit of deliveries that RabbitMQ 3 and 4 understand, and that nobody reaches."""
    for queue in ("dead_letters", "scheduler.dead_commands"):

        async def limited(queue: str = queue) -> Any:
            shown = await vhost_of.get("queues", virtual_host(installation), queue)
            return (shown.get("effective_policy_definition") or {}).get("delivery-limit")

        assert await eventually(limited, what=f"{queue} has its policy") == ENDLESS


async def test_a_tenants_full_queue_holds_up_nobody(installation: AdminSettings) -> None:
    """It refuses what it has no room for, so the broker refuses the message: ours get it directly.

    A policy can't prevent it: a classic queue's own ``x-overflow`` counts more.
    """
    user = f"bigtop-{installation.role_suffix}"
    front_door, webhooks = Recorder(), Recorder()
    async with (
        _tenant_channel(installation, "bigtop") as channel,
        bus_at(_urls(installation, "scheduler"), name="scheduler") as scheduler,
        bus_at(_urls(installation, "front_door"), name="front_door") as reader,
        bus_at(_urls(installation, "webhook_worker"), name="webhook_worker") as other,
    ):
        arguments: FieldTable = {"x-max-length": 0, "x-overflow": "reject-publish"}
        await channel.queue_declare(f"{user}.full", arguments=arguments)
        await channel.queue_bind(f"{user}.full", topology.STATUS, routing_key="bigtop.#")
        await reader.consume("front_door.status", front_door)
        await other.consume("webhook_worker.status", webhooks)
        message = _message(topology.STATUS, "bigtop.vm.waiting")
        await scheduler.publish(message, timeout=10)
        for seen in (front_door, webhooks):
            await until(lambda seen=seen: message.id in seen.ids)  # type: ignore[misc]
        await channel.queue_delete(f"{user}.full")


SCHEMAS = ("front_door", "scheduler", "webhook_worker")


@pytest.mark.parametrize("service", SCHEMAS)
async def test_a_service_changes_rows_of_its_schema_and_nothing_else(
    installation: AdminSettings, service: str
) -> None:
    """It reads and writes its tables; it neither makes, alters nor sees anything beyond them."""
    other = next(schema for schema in SCHEMAS if schema != service)
    async with _as_role(installation, service) as connection:
        assert await connection.fetchval("SELECT current_schema()") == service
        await connection.execute("DELETE FROM outbox")
        for statement in (
            f"SELECT * FROM {other}.outbox",
            f"INSERT INTO {other}.inbox DEFAULT VALUES",
            f"CREATE TABLE {other}.mine (x int)",
            f"SET ROLE {other}_{installation.role_suffix}",
            "CREATE TABLE mine (x int)",
            "ALTER TABLE outbox ADD COLUMN mine int",
            "DROP TABLE outbox",
            "TRUNCATE outbox",
            "CREATE INDEX ON outbox (id)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DELETE FROM _yoyo_migration",
            "CREATE TABLE public.mine (x int)",
            "CREATE SCHEMA mine",
            "CREATE TEMPORARY TABLE mine (x int)",
            "CREATE ROLE mine",
            f"SET ROLE {service}_owner_{installation.role_suffix}",
            "SET ROLE postgres",
            "COPY outbox TO PROGRAM 'true'",
            "SELECT pg_read_file('postgresql.conf')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize("service", SCHEMAS)
async def test_no_role_of_a_service_has_any_power_over_the_server(
    installation: AdminSettings, service: str
) -> None:
    """Neither the one that logs in, nor the owner of its tables, who can't log in at all."""
    async with _as_role(installation, service) as connection:
        rows = await connection.fetch(
            "SELECT rolname, rolcanlogin, rolsuper OR rolcreatedb OR rolcreaterole"
            " OR rolreplication OR rolbypassrls AS mighty"
            " FROM pg_roles WHERE rolname IN ($1, $2)",
            *(f"{service}{kind}_{installation.role_suffix}" for kind in ("", "_owner")),
        )
    powers = {row["rolname"].removesuffix(f"_{installation.role_suffix}"): row for row in rows}
    assert not any(row["mighty"] for row in rows)
    assert {name: row["rolcanlogin"] for name, row in powers.items()} == {
        service: True,
        f"{service}_owner": False,
    }


async def test_a_role_connects_to_no_other_installations_database(
    installation: AdminSettings, settings: AdminSettings
) -> None:
    """Roles are known to the whole server; databases take their own only."""
    await install(settings)
    own = environment_of("scheduler", installation)["COLOBUS_DATABASE_DSN"]
    elsewhere = urlsplit(own)._replace(path=urlsplit(settings.admin_database_dsn).path)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(elsewhere.geturl())


@asynccontextmanager
async def _as_role(
    installation: AdminSettings, service: str
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(
        environment_of(service, installation)["COLOBUS_DATABASE_DSN"]
    )
    try:
        yield connection
    finally:
        await connection.close()


async def test_only_the_installations_own_roles_may_connect(installation: AdminSettings) -> None:
    """CONNECT is nobody's by default: other roles of the server stay outside."""
    connection = await asyncpg.connect(
        environment_of("scheduler", installation)["COLOBUS_DATABASE_DSN"]
    )
    granted = await connection.fetch(
        "SELECT grantee FROM pg_database, aclexplode(datacl)"
        " WHERE datname = current_database() AND grantee = 0"
    )
    await connection.close()
    assert granted == [], "no privilege is the public's"
