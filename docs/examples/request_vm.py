#!/usr/bin/env python3
"""Ask Colobus for a virtual machine over the bus, use it, give it back.

    pip install pika            # and pynacl, for --user-data
    export COLOBUS_AMQP_URL=amqps://ci-bigtop:…@broker.example.org/colobus COLOBUS_TENANT=bigtop
    python request_vm.py --image debian-12 --flavor small -- ./run-tests.sh

Prints the machine's address on standard output, runs the command (if one is given) with VM_ID and
VM_ADDRESS in its environment, and deletes the machine, whatever happened. The exit code is the
command's; 1, with the reason on standard error, when there was no machine; 2 for wrong usage.

Copy it, change it: it needs nothing of Colobus but RabbitMQ's client. docs/bus.md explains it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import datetime, timezone

import pika
import pika.exceptions as amqp

#: A request whose answer doesn't come is published again after so many seconds, under the same id:
#: it is still one machine.
ASK_AGAIN = 10
#: What trying again doesn't help against: a wrong password, virtual host, exchange or tenant.
REFUSALS = (
    amqp.ProbableAuthenticationError,
    amqp.ProbableAccessDeniedError,
    amqp.ChannelClosedByBroker,
)


class NoMachine(Exception):
    """There is no machine for us, and why."""


class Bus:
    """A connection to the broker, with a queue of our own for answers and news.

    Our user may make queues named `<user>.<anything>`, and bind them to its own tenant's news.
    """

    def __init__(self, url, tenant):
        parameters = pika.URLParameters(url)
        self.tenant, self.user = tenant, parameters.credentials.username
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()  # basic_publish returns when the broker has the message
        self.queue = f"{self.user}.{uuid.uuid4()}"
        self.channel.queue_declare(self.queue, exclusive=True, auto_delete=True)
        # Bound before anything is asked, so that nothing of it is missed.
        self.channel.queue_bind(self.queue, "colobus.status", routing_key=f"{tenant}.vm.#")

    def publish(self, event):
        """Publish a request. The broker vouches for `user_id`: without it we are refused."""
        properties = pika.BasicProperties(
            content_type="application/cloudevents+json",
            delivery_mode=2,  # persistent
            user_id=self.user,
            reply_to=self.queue,
            correlation_id=event["id"],
            message_id=event["id"],
            type=event["type"],
        )
        key = f"{self.tenant}.vm.{event['data']['verb']}"
        body = json.dumps(event).encode()
        self.channel.basic_publish("colobus.requests", key, body, properties, mandatory=True)

    def messages(self):
        """Yield (correlation id, CloudEvent) as they come, and None each second that none comes."""
        arriving = self.channel.consume(self.queue, auto_ack=True, inactivity_timeout=1)
        for method, properties, body in arriving:
            yield (properties.correlation_id, json.loads(body)) if method else None


class Request:
    """One request, and what we heard of the machine that it is about.

    Whatever is lost on the way, connection, answer or news: the same request under the same id
    (and source) is published again, is not done again, and is answered with how the machine is now.
    """

    def __init__(self, options, event_id, data):
        self.urls = options.url.split(",")
        self.machine_id = self.shown = None
        self.machines = {}  # all of our tenant's: news may come before the answer
        self.event = {
            "specversion": "1.0",
            "type": "org.colobus.RequestSubmitted.v1",
            "id": event_id,
            "source": options.source,
            "time": datetime.now(timezone.utc).isoformat(),
            "tenant": options.tenant,
            "data": {"kind": "vm", **data},
        }

    def until(self, phase, seconds):
        """Publish the request; return the machine once it is in this phase, or raise NoMachine."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                bus = Bus(self.urls[0], self.event["tenant"])
                with contextlib.closing(bus.connection):
                    return self.follow(bus, phase, deadline)
            except REFUSALS as error:
                raise NoMachine(f"the broker refuses us: {error!r}") from error
            except (amqp.AMQPError, OSError) as error:
                if time.monotonic() > deadline:
                    raise NoMachine(f"no broker: {error!r}") from error
                print(f"broker lost ({error!r}), trying again", file=sys.stderr)
                self.urls.append(self.urls.pop(0))  # the next node of a cluster
                time.sleep(1)

    def follow(self, bus, phase, deadline):
        """Publish, and take in what comes, until the machine is in this phase."""
        answered = False
        bus.publish(self.event)
        ask_again = time.monotonic() + ASK_AGAIN
        for message in bus.messages():
            if message is not None:
                answered |= self.take(*message)
            if answered and self.is_there(phase):
                return self.machines[self.machine_id]
            if time.monotonic() > deadline:
                raise NoMachine(f"not {phase} in time")
            if not answered and time.monotonic() > ask_again:
                bus.publish(self.event)
                ask_again = time.monotonic() + ASK_AGAIN

    def take(self, correlation_id, told):
        """Take in a message; tell whether it is the answer to this request."""
        is_answer = correlation_id == self.event["id"]
        if is_answer and told["type"] == "org.colobus.RequestRefused.v1":
            raise NoMachine(explained(told["data"]["problem"]))
        machine = told["data"]["resource"]
        if is_answer:
            self.machine_id = machine["id"]
        # News may come twice, or late: the revision tells which is the newest.
        known = self.machines.get(machine["id"])
        if known is None or machine["revision"] > known["revision"]:
            self.machines[machine["id"]] = machine
        return is_answer

    def is_there(self, phase):
        """Tell whether the machine is in this phase; fail when it never will be."""
        status = self.machines[self.machine_id]["status"]
        news = f"{self.machine_id} {status['phase']} {status.get('message', '')}"
        if news != self.shown:
            print(news, file=sys.stderr)
        self.shown = news
        if status["phase"] in {"failed", "deleted"} - {phase}:
            problem = status.get("error", {"title": status.get("reason", "somebody deleted it")})
            raise NoMachine(f"{self.machine_id} {status['phase']}: {explained(problem)}")
        return status["phase"] == phase


def explained(problem):
    """Return a problem (RFC 9457) in one line, with every field at fault."""
    faults = [
        f"{fault.get('pointer') or fault.get('parameter')}: {fault['detail']}"
        for fault in problem.get("errors", [])
    ]
    return "; ".join([problem.get("detail") or problem["title"], *faults])


def sealed(text, key):
    """Seal a secret to Colobus' key: nobody on the way, nor the ledger, can read it."""
    from nacl.public import PublicKey, SealedBox

    box = SealedBox(PublicKey(base64.b64decode(key)))
    return base64.b64encode(box.encrypt(text.encode())).decode()


def wish(options):
    """Return what the command line asks for, as the data of a request."""
    spec = {"image": options.image, "flavor": options.flavor, "floating_ip": options.floating_ip}
    spec["ssh_keys"] = [file.read().strip() for file in options.ssh_key]
    if options.user_data:
        spec["sealed_user_data"] = sealed(options.user_data.read(), options.sealing_key)
    labels = dict(label.split("=", 1) for label in options.label)
    # The lease gives the machine back should we die before we do.
    limits = {"lease_ttl": options.lease, "deadline": options.timeout}
    name = {"name": options.name} if options.name else {}
    return {"verb": "create", "spec": spec, "labels": labels, **limits, **name}


def parsed():
    """Return the options, from the command line and the environment."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    environ = os.environ.get
    asked.add_argument("--url", default=environ("COLOBUS_AMQP_URL"), help="several: by commas")
    asked.add_argument("--tenant", default=environ("COLOBUS_TENANT"))
    asked.add_argument("--source", default=environ("COLOBUS_SOURCE", "/ci"), help="who asks")
    asked.add_argument(
        "--id", default=str(uuid.uuid4()), help="unique per machine, like build-4711"
    )
    asked.add_argument("--image", required=True)
    asked.add_argument("--flavor", required=True)
    asked.add_argument("--floating-ip", action="store_true")
    asked.add_argument("--name")
    asked.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    asked.add_argument("--ssh-key", type=argparse.FileType(), action="append", default=[])
    asked.add_argument("--user-data", type=argparse.FileType(), help="for cloud-init; is sealed")
    asked.add_argument("--sealing-key", default=environ("COLOBUS_SEALING_KEY"))
    asked.add_argument("--lease", type=int, default=7200, help="seconds that it lives at most")
    asked.add_argument("--timeout", type=int, default=600, help="seconds for the making")
    asked.add_argument("command", nargs="*", help="what to run with it, after --")
    options = asked.parse_args()
    if not options.url or not options.tenant:
        asked.error("--url and --tenant are needed (or COLOBUS_AMQP_URL and COLOBUS_TENANT)")
    if options.user_data and not options.sealing_key:
        asked.error("--user-data needs --sealing-key (GET /v1/catalog, sealing_public_keys)")
    return options


def cancelled(*_):
    """End, on SIGTERM: a cancelled job gives its machine back too."""
    sys.exit(143)


def run(command, variables):
    """Run the command and return its exit code; however we end, it doesn't outlive us."""
    process, signals = None, []
    try:
        # Ended in the middle of starting it, we would not know what to kill.
        signal.signal(signal.SIGTERM, lambda *received: signals.append(received))
        process = subprocess.Popen(command, env={**os.environ, **variables})
        signal.signal(signal.SIGTERM, cancelled)
        if signals:
            cancelled()
        return process.wait()
    finally:
        if process is not None:
            process.kill()
            process.wait()


def main():
    """Get a machine, use it, give it back; return the exit code."""
    options = parsed()
    signal.signal(signal.SIGTERM, cancelled)
    creation = Request(options, options.id, wish(options))
    try:
        machine = creation.until("active", options.timeout + 60)
        outputs = machine["status"]["outputs"]
        address = outputs.get("floating_ip") or outputs["addresses"][0]
        print(address, flush=True)
        if not options.command:
            return 0
        return run(options.command, {"VM_ID": machine["id"], "VM_ADDRESS": address})
    finally:
        if creation.machine_id:
            data = {"verb": "delete", "resource_id": creation.machine_id}
            Request(options, f"{options.id}/delete", data).until("deleted", options.timeout)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoMachine as reason:
        sys.exit(f"request_vm: {reason}")
