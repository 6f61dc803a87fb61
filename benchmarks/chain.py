"""Request → worker → status, per second, against raw aio-pika over the same number of hops: ≥ 0.4.

Ours is the real scheduler with its ledger, and a vm_worker whose cloud answers at once
(`instant_worker`); the reference is `bare_chain`. Both are two processes on uvloop over quorum
queues of the same broker, driven by the same `driver`, from a request for a VM to the status that
says active: seven messages in a row. Ours has more to send: a status per change of the resource,
to two queues. The latencies are those at a light load, one request at a time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack

import aio_pika
import msgspec

from benchmarks import bare_chain
from benchmarks.driver import Chain, Driven, drive
from benchmarks.figures import Figure, percentile, side_by_side
from benchmarks.world import TENANT, World, running
from shared.contract import outgoing
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Verb
from tests.support.installation import Installation

SPEC: dict[str, object] = {"image": "debian-12", "flavor": "small", "network": "bench"}
#: At full load, so many requests are under way at once.
IN_FLIGHT = 200


class _Status(msgspec.Struct):
    phase: str


class _Resource(msgspec.Struct):
    status: _Status


class _Data(msgspec.Struct):
    resource: _Resource


class _StatusMessage(msgspec.Struct):
    subject: str
    data: _Data


_statuses = msgspec.json.Decoder(_StatusMessage)
_hops = msgspec.json.Decoder(bare_chain.Hop)


def run(world: World) -> list[Figure]:
    """Measure throughput, then latency."""
    with world.colobus() as colobus, ExitStack() as stack:
        ours, reference = started(colobus), _reference(colobus, stack)
        count = world.size(400, 10)
        measure(ours, count)
        measure(reference, count)
        rounds, statuses = list[tuple[float, float]](), 0.0
        for _ in range(world.rounds):
            made = measure(ours, count)
            rounds.append((made.per_second, measure(reference, count * 3).per_second))
            statuses = made.messages / count
        light = [measure(chain, world.size(100, 3), 1).took for chain in (ours, reference)]
    return [
        side_by_side(
            "request → worker → status",
            rounds,
            "/s",
            at_least=0.4,
            note=f"{statuses:.1f} status messages per VM",
        ),
        *(
            Figure(
                what=f"its {name} at a light load",
                ours=percentile(light[0], share) * 1000,
                reference=percentile(light[1], share) * 1000,
                unit="ms",
            )
            for name, share in (("p50", 0.5), ("p99", 0.99))
        ),
    ]


def started(colobus: Installation) -> Chain:
    """Start the scheduler and the instant worker; return our chain."""
    colobus.modules["vm_worker"] = "benchmarks.instant_worker"
    colobus.start("scheduler", "vm_worker")
    return ours_of(colobus)


def ours_of(colobus: Installation) -> Chain:
    """Our chain: what the front door would publish and hear."""
    url = colobus.environment("front_door")["COLOBUS_AMQP_URLS"]
    user = aio_pika.connection.make_url(url).user

    def make() -> tuple[str, str, str, aio_pika.Message]:
        subject = new_id("vm")
        asked = RequestSubmitted(verb=Verb.CREATE, kind="vm", resource_id=subject, spec=SPEC)
        envelope = envelope_for(asked, source="/front_door/bench", subject=subject, tenant=TENANT)
        ready = outgoing.request(envelope, asked)
        message = aio_pika.Message(
            ready.body,
            user_id=user,
            message_id=ready.id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        return subject, ready.exchange, ready.routing_key, message

    def ended(body: bytes) -> str | None:
        status = _statuses.decode(body)
        return status.subject if status.data.resource.status.phase == "active" else None

    return Chain(url, "front_door.status", make, ended)


def _reference(colobus: Installation, stack: ExitStack) -> Chain:
    url = str.__str__(colobus.admin.admin_amqp_url[0])
    os.environ["BENCH_AMQP_URL"] = url
    for role in bare_chain.ROLES:
        stack.enter_context(running("benchmarks.bare_chain", role))
    data: dict[str, object] = {"verb": "create", "kind": "vm", "spec": SPEC}

    def make() -> tuple[str, str, str, aio_pika.Message]:
        subject = new_id("vm")
        hop = bare_chain.Hop(subject, subject, "request", data)
        return subject, bare_chain.EXCHANGE, "request", bare_chain.message(hop)

    return Chain(url, "bench.status", make, lambda body: _hops.decode(body).subject)


def measure(chain: Chain, requests: int, in_flight: int = IN_FLIGHT) -> Driven:
    """Drive the chain once."""
    return asyncio.run(drive(chain, requests, in_flight))
