#!/usr/bin/env python3
"""Ask Colobus for a virtual machine over the bus, use it, give it back.

    pip install pika            # and pynacl, for --user-data
    export COLOBUS_AMQP_URL=amqps://ci-bigtop:…@broker.example.org/colobus COLOBUS_TENANT=bigtop
    python request_vm.py --image debian-12 --flavor small -- ./run-tests.sh

Prints the machine's address on standard output, runs the command (if one is given) with VM_ID and
VM_ADDRESS in its environment, and deletes the machine, whatever happened: also on SIGTERM and
Ctrl-C, and where it was asked for and the answer is still to come. (A second signal gives that up.)
The exit code is the command's; 128 + the signal's; 1, with the reason on standard error, when there
was no machine or it could not be given back; 2 for wrong usage.

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
LEFT = "if there is a machine, it lives until its lease ends"


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

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is SystemExit:  # interrupted anywhere, pika can't close it in order: it is dropped
            return
        with contextlib.suppress(amqp.AMQPError, OSError):  # it breaks just now: it is left anyway
            self.connection.close()

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
        self.asked = False  # the broker may have it, whether it has said so or not
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
        """Publish the request; return the machine once it is in this phase, or raise NoMachine.

        No phase: as soon as we are told which machine it is.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                with Bus(self.urls[0], self.event["tenant"]) as bus:
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
        self.asked = True
        bus.publish(self.event)
        print(f"asked for {self.event['id']}", file=sys.stderr)
        ask_again = time.monotonic() + ASK_AGAIN
        for message in bus.messages():
            if message is not None:
                answered |= self.take(*message)
            if answered and (phase is None or self.is_there(phase)):
                return self.machines[self.machine_id]
            if time.monotonic() > deadline:
                raise NoMachine(f"not {phase or 'answered'} in time")
            if not answered and time.monotonic() > ask_again:
                bus.publish(self.event)
                ask_again = time.monotonic() + ASK_AGAIN

    def take(self, correlation_id, told):
        """Take in a message; tell whether it is the answer to this request."""
        is_answer = correlation_id == self.event["id"]
        if is_answer and told["type"] == "org.colobus.RequestRefused.v1":
            self.asked = False  # nothing was done
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


class Signals:
    """SIGTERM and Ctrl-C: the first ends the job, but no giving back; the second ends us."""

    def __init__(self):
        self.received, self.held = [], False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.take)

    def take(self, number, _frame):
        """End with the exit code that a shell has for it."""
        self.received.append(number)
        if len(self.received) > 1:
            os.write(2, f"request_vm: given up; {LEFT}\n".encode())
            os._exit(128 + number)  # whatever the connection is waiting for
        if not self.held:
            sys.exit(128 + number)

    def release(self):
        """Hold the first one back no more; end, if it has come meanwhile."""
        self.held = False
        if self.received:
            sys.exit(128 + self.received[0])


def run(command, variables, signals):
    """Run the command and return its exit code; however we end, it doesn't outlive us."""
    process = None
    try:
        signals.held = True  # ended in the middle of starting it, we would not know what to kill
        process = subprocess.Popen(command, env={**os.environ, **variables})
        signals.release()
        return process.wait()
    finally:
        if process is not None:
            process.kill()
            process.wait()


def use(creation, options, signals):
    """Get the machine and run the command with it; return the exit code."""
    machine = creation.until("active", options.timeout + 60)
    outputs = machine["status"]["outputs"]
    address = outputs.get("floating_ip") or outputs["addresses"][0]
    print(address, flush=True)
    if not options.command:
        return 0
    return run(options.command, {"VM_ID": machine["id"], "VM_ADDRESS": address}, signals)


def give_back(creation, options):
    """Delete the machine. Asked for, it is made, whether we have heard of it or not: ask again."""
    try:
        if creation.asked and creation.machine_id is None:
            print("no answer yet: waiting for it, to delete the machine", file=sys.stderr)
            creation.until(None, options.timeout)
        if creation.machine_id is not None:
            data = {"verb": "delete", "resource_id": creation.machine_id}
            Request(options, f"{options.id}/delete", data).until("deleted", options.timeout)
    except NoMachine as reason:
        raise NoMachine(f"{reason}; {LEFT}") from reason


def main():
    """Get a machine, use it, give it back; return the exit code."""
    options, signals = parsed(), Signals()
    creation = Request(options, options.id, wish(options))
    try:
        try:
            return use(creation, options, signals)
        finally:  # one of its own: a signal that comes right here doesn't skip what follows
            signals.held = True
    finally:
        give_back(creation, options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoMachine as reason:
        sys.exit(f"request_vm: {reason}")
