"""The scheduler's rooms in this process, on a real database: the test is its broker.

What would be published lies on `Desk.sent` until the test says what becomes of it. The rows of the
outbox are the real ones, so that a crash between commit and publish can be played.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import yaml
from psycopg import sql

from services.scheduler import handlers
from services.scheduler.context import Context
from services.scheduler.ledger import Ledger
from services.scheduler.settings import Settings
from services.scheduler.state import ResourceState
from shared.bus import Bus, Delivery
from shared.contract import topology
from shared.contract.codec import decode, envelope_for
from shared.contract.identifiers import kind_of, new_id, new_ulid
from shared.contract.messages import Message, RequestSubmitted
from shared.contract.outgoing import OutgoingMessage
from shared.contract.resources import Verb
from shared.runtime.settings import Secret
from shared.runtime.tenants import load_tenants
from shared.storage import Database
from shared.storage.migrate import migrate
from tests.integration.scheduler.neighbours import SPEC
from tests.integration.scheduler.shelf import Answers, Shelf

MIGRATIONS = Path(__file__).resolve().parents[3] / "services" / "scheduler" / "migrations"
FRONT_DOOR = "colobus-front-door"


class Desk:
    """``context`` is what handlers, rounds and timers get."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.shelf = Shelf(database)
        self.answers = Answers()
        self.context = Context(
            settings=settings,
            tenants=load_tenants(settings.tenants_file),
            database=database,
            bus=cast(Bus, self.answers),
            outbox=self.shelf,
            ledger=Ledger(settings.installation_id),
        )

    # ---- what comes in

    async def request(self, verb: Verb, vm: str, tenant: str, **fields: Any) -> None:
        """A request of the front door's."""
        message_id = fields.pop("id", None)
        kind = kind_of(vm)
        message = RequestSubmitted(verb=verb, kind=kind, resource_id=vm, **fields)
        envelope = envelope_for(
            message, source="/front_door/test", subject=vm, tenant=tenant, id=message_id
        )
        await handlers.handle_request(
            Delivery(
                envelope=envelope,
                message=message,
                queue="scheduler.requests",
                routing_key=f"{tenant}.{kind}.{verb.value}",
                headers={},
                user_id=FRONT_DOOR,
                reply_to=None,
                repeated=False,
            ),
            self.context,
        )

    async def create(self, tenant: str = "bigtop", **fields: Any) -> str:
        """Ask for a VM; return its id."""
        vm: str = fields.pop("vm", None) or new_id("vm")
        await self.request(Verb.CREATE, vm, tenant, **{"spec": SPEC, **fields})
        return vm

    async def event(
        self, event: Message, subject: str, tenant: str, *, word: str = "", **envelope: Any
    ) -> None:
        """An event of a worker's, under a word of its own: else the kind of what it is about."""
        made = envelope_for(
            event, source="/vm_worker/test", subject=subject, tenant=tenant, **envelope
        )
        await handlers.handle_event(
            Delivery(
                envelope=made,
                message=event,
                queue="scheduler.events",
                routing_key=f"{tenant}.{word or kind_of(subject) or 'vm'}.{made.message_name}",
                headers={},
                user_id="colobus-vm-worker",
                reply_to=None,
                repeated=False,
            ),
            self.context,
        )

    # ---- what goes out

    def take(self, *names: str) -> list[Delivery]:
        """Take the commands of these names that were sent since last asked."""
        taken: list[Delivery] = []
        kept: list[OutgoingMessage] = []
        for one in self.shelf.sent:
            envelope, message = decode(one.body)
            if one.exchange == topology.COMMANDS and envelope.message_name in names:
                taken.append(_delivery(one, envelope, message))
            else:
                kept.append(one)
        self.shelf.sent = kept
        return taken

    async def recover(self) -> list[OutgoingMessage]:
        """Publish what a dead process left in the outbox; return it."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM outbox ORDER BY position")
            await connection.execute("DELETE FROM outbox")
        left = [
            OutgoingMessage(**{name: row[name] for name in OutgoingMessage.__struct_fields__})
            for row in rows
            if row["position"] not in self.shelf.published
        ]
        self.shelf.sent.extend(left)
        return left

    async def states(self) -> dict[str, ResourceState]:
        """All rows of the ledger."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT state::text AS state FROM resources")
        decoder = msgspec.json.Decoder(ResourceState)
        found = [decoder.decode(row["state"]) for row in rows]
        return {state.resource.id: state for state in found}

    async def state(self, vm: str) -> ResourceState:
        """The ledger's row."""
        async with self.database.transaction() as tx:
            state = await self.context.ledger.lock(tx, vm)
        assert state is not None
        return state

    async def forget_everything(self) -> None:
        """Empty all tables."""
        self.shelf.sent.clear()
        self.shelf.published.clear()
        async with self.database.connection() as connection:
            tables = await connection.fetch(
                "SELECT quote_ident(tablename) AS name FROM pg_tables"
                " WHERE schemaname = 'scheduler' AND tablename NOT LIKE '%yoyo%'"
            )
            await connection.execute(f"TRUNCATE {', '.join(row['name'] for row in tables)}")

    async def move_back(self, vm: str, moment: datetime) -> None:
        """Let the resource's last change have been then."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE resources SET updated_at = $2 WHERE id = $1", vm, moment
            )


def _delivery(sent: OutgoingMessage, envelope: Any, message: Message) -> Delivery:
    return Delivery(
        envelope=envelope,
        message=message,
        queue="",
        routing_key=sent.routing_key,
        headers={},
        user_id="colobus-scheduler",
        reply_to=None,
        repeated=False,
        body=sent.body,
    )


@contextmanager
def ledger_database(environment: Mapping[str, str]) -> Iterator[str]:
    """A database of the test's own with the scheduler's tables; the superuser's DSN."""
    dsn, name = environment["DEVCLOUD_POSTGRES_DSN"], f"test_{new_ulid()}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            made = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
            migrate(made, "scheduler", MIGRATIONS)
            yield made
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@asynccontextmanager
async def desk(
    dsn: str,
    folder: Path,
    quotas: Mapping[str, Mapping[str, int]],
    *,
    clouds: Sequence[str] = ("devcloud",),
    places: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """A scheduler's rooms on an emptied ledger, with tenants of these quotas on these clouds.

    ``places``: what else the tenants file says (stores, metals).
    """
    tenants = {
        tenant: {
            "projects": {cloud: f"project-{tenant}-{cloud}" for cloud in clouds},
            "quota": dict(quota),
            "broker_user": f"ci-{tenant}",
        }
        for tenant, quota in quotas.items()
    }
    file = folder / "tenants.yaml"
    file.write_text(yaml.safe_dump({"tenants": tenants, **(places or {})}))
    database = await Database.connect(dsn, schema="scheduler", pool_size=4)
    try:
        made = Desk(
            database,
            Settings(
                installation_id="i1",
                amqp_urls=(Secret("amqp://nowhere"),),
                http_port=0,
                database_dsn=Secret(dsn),
                tenants_file=file,
                **settings,
            ),
        )
        await made.forget_everything()
        yield made
    finally:
        await database.close()
