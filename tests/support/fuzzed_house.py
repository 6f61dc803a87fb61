"""A whole installation without a cloud, fed whatever a test wants, and looked at afterwards."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pika
import psycopg
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.admin.access import ACCESS
from services.scheduler.kept_requests import json_of
from services.scheduler.origins import SAID_BY, WORDS
from services.scheduler.state import ResourceState
from shared.contract import topology
from shared.contract.codec import decode
from shared.contract.identifiers import is_id, new_ulid
from shared.contract.kinds import KINDS
from shared.contract.resources import Resource
from tests.contract.golden_files import golden
from tests.support import devcloud
from tests.support.conditions import eventually_sync
from tests.support.consumers import TAKEN_BY
from tests.support.installation import Installation, Metal, installation
from tests.support.mutation import Mutant

TENANTS = ("bigtop", "openlab")
#: Named as in the golden files.
STORE, METAL = "ceph", "lab"
_NEEDED = ("DEVCLOUD_AMQP_URL", "DEVCLOUD_AMQP_MANAGEMENT_URL", "DEVCLOUD_POSTGRES_DSN")
#: What a log says of a fault of ours.
_FAULTS = (
    *("handler failed", "not settled", "not handled", "never retrieved", "background task"),
    *("question failed", "request failed"),
)


@dataclass
class House:
    """The installation; ``url`` is the broker as its administrator."""

    installation: Installation

    @property
    def url(self) -> str:
        """The broker, as its administrator."""
        return str.__str__(self.installation.admin.admin_amqp_url[0])

    def front_door(self) -> str:
        """The broker, as the front door."""
        return self.installation.environment("front_door")["COLOBUS_AMQP_URLS"].split(",")[0]

    @contextmanager
    def channel(self, url: str) -> Iterator[Any]:
        """A channel with confirms; what can't be routed raises."""
        connection = pika.BlockingConnection(pika.URLParameters(url))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            connection.close()

    def put(self, queue: str, batch: Sequence[Mutant]) -> None:
        """Let the queue have these, as no service would, under keys that go with their words."""
        with self.channel(self.url) as channel:
            for one in batch:
                properties = pika.BasicProperties(**one.properties)
                exchange, key = _way_to(queue, one.body)
                channel.basic_publish(exchange, key, one.body, properties, mandatory=True)

    def request(self, url: str, batch: Sequence[Mutant]) -> None:
        """Publish these as requests of the user of ``url``, as the broker wants it."""
        user = pika.URLParameters(url).credentials.username
        with self.channel(url) as channel:
            for one in batch:
                properties = pika.BasicProperties(**{**one.properties, "user_id": user})
                channel.basic_publish(
                    topology.REQUESTS, "bigtop.vm.create", one.body, properties, mandatory=True
                )

    def count(self, service: str, name: str, **labels: str) -> int:
        """The sum of a metric's samples with these labels."""
        url = f"{self.installation.url_of(service)}/metrics"
        with urllib.request.urlopen(url, timeout=30) as response:
            families = text_string_to_metric_families(response.read().decode())
        return sum(
            int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def until_settled(self, service: str, queue: str) -> None:
        """Wait until nothing lies on the queue, and nothing of it is in hand."""

        def settled() -> bool:
            with self.channel(self.url) as channel:
                ready = channel.queue_declare(queue, passive=True).method.message_count
            return ready == 0 and self.count(service, "colobus_bus_in_hand", queue=queue) == 0

        eventually_sync(settled, within=120, what=f"{queue} is empty")

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Ask the database, as its administrator."""
        dsn = str.__str__(self.installation.admin.admin_database_dsn)
        with psycopg.connect(dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def check(self) -> None:
        """No process has died, no handler had a fault, no table holds what isn't valid."""
        for service, process in self.installation.processes.items():
            assert process.poll() is None, service
            log = self.installation.log(service).read_text(errors="replace")
            for words in _FAULTS:
                at = log.find(words)
                assert at < 0, f"{service}: {log[max(0, at - 1000) : at + 4000]}"
        self._check_ledger()
        self._check_front_door()

    def _check_ledger(self) -> None:
        query = "SELECT id, tenant, state::text FROM scheduler.resources"
        for id, tenant, text in self.rows(query):
            state = msgspec.json.decode(text, type=ResourceState)
            resource = state.resource
            assert (resource.id, resource.tenant) == (id, tenant)
            assert tenant in TENANTS
            assert is_id(id, resource.kind)
            msgspec.convert(resource.spec, KINDS[resource.kind].spec)
        for tenant, amount in self.rows("SELECT tenant, amount FROM scheduler.usage"):
            assert tenant in TENANTS
            assert amount >= 0
        for (body,) in self.rows("SELECT body FROM scheduler.outbox"):
            decode(body)

    def _check_front_door(self) -> None:
        for table, key in (("resources", "id"), ("events", "resource_id")):
            query = f"SELECT {key}, tenant, document::text FROM front_door.{table}"
            for id, tenant, text in self.rows(query):
                resource = msgspec.json.decode(text, type=Resource)
                assert (resource.id, resource.tenant) == (id, tenant)


_EXCHANGES = {queue.name: queue.bindings[0].exchange for queue in topology.TOPOLOGY.work_queues}
_EXCHANGES |= {queue.name: queue.bindings[0].exchange for queue in topology.TOPOLOGY.query_queues}


#: Event → a kind under which its worker may say it.
_KINDS = {
    event.__name__: next(word for word, worker in WORDS.items() if worker in workers)
    for event, workers in SAID_BY.items()
}


def _way_to(queue: str, body: bytes) -> tuple[str, str]:
    """The exchange, and the routing key that belongs to the body, as far as it says anything."""
    exchange, said = _EXCHANGES[queue], json_of(body)
    words = said if isinstance(said, dict) else {}
    name = _word(str(words.get("type")).removeprefix("org.colobus.").removesuffix(".v1"))
    if exchange in topology.OPEN_TO_TENANTS:
        return exchange, f"{_word(words.get('tenant'))}.{_KINDS.get(name, 'vm')}.{name}"
    if exchange == topology.QUERIES:
        return exchange, f"{queue.partition('.')[0]}.{name}"
    if exchange == topology.COMMANDS:
        return exchange, f"{queue.partition('.')[0]}.{name}"
    return exchange, f"{TAKEN_BY.get(name, 'vm_worker')}.{name}"


def _word(value: object) -> str:
    is_word = isinstance(value, str) and re.fullmatch(r"[\w-]{1,100}", value, re.ASCII)
    return str(value) if is_word else "garbage"


def fresh(name: str, subject: str, **data: Any) -> dict[str, Any]:
    """A golden message about ``subject``, of now, under an id of its own, of no step."""
    event = golden(name)
    left_out = {"notafter", "step", "attempt", "sequence"}
    kept = {key: value for key, value in event.items() if key not in left_out}
    now = datetime.now(UTC).isoformat()
    own = {"id": new_ulid(), "subject": subject, "time": now}
    return {**kept, **own, "data": {**event["data"], **data}}


@contextmanager
def fuzzed_house(basics: Mapping[str, str], folder: Path) -> Iterator[House]:
    """All services but the vm_worker, running; no cloud, store or metal can be reached."""
    clouds = folder / "clouds.yaml"
    login = {"auth_url": "http://127.0.0.1:1/v3", "username": "x", "password": "x"}
    entry = {"auth": login, "region_name": "RegionOne"}
    clouds.write_text(yaml.safe_dump({"clouds": {"devcloud": entry}}))
    nowhere = {  # nothing of the real cloud: what is fuzzed would be done there
        **{name: basics[name] for name in _NEEDED},
        "DEVCLOUD_AUTH_URL": "http://127.0.0.1:1/v3",
        "OS_CLIENT_CONFIG_FILE": str(clouds),
        "DEVCLOUD_PROJECT_ID_BIGTOP": "project-1",
        "DEVCLOUD_PROJECT_ID_OPENLAB": "project-2",
    }
    quotas = {tenant: {"vms": 1000} for tenant in TENANTS}
    # Ceph would wait for its monitors for a second each time; without its file it says so at once.
    ceph = {"conf": str(folder / "ceph.conf"), "pool": "rbd"}
    tgt = {"type": "tgt", "socket": str(folder / "tgtd"), "portals": ["127.0.0.1:3260"]}
    places: dict[str, Any] = {
        "stores": {STORE: {"ceph": ceph, "gateway": tgt}},
        "metals": {METAL: Metal({"store": STORE, "cloud": "devcloud"}, {"cloud": "devcloud"})},
    }
    devcloud.install("python3-rados", "python3-rbd")  # without which no iscsi_worker starts
    with installation(nowhere, folder, quotas, **places) as made:
        made.start(*(service for service in ACCESS if service != "vm_worker"))
        yield House(made)
