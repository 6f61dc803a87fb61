"""`make demo`: everything comes up, a VM is shown on its way to the webhook, and a volume made."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from standardwebhooks import Webhook, WebhookVerificationError

from colobus import (
    Client,
    ColobusError,
    CreateAttachment,
    CreateVm,
    CreateVolume,
    LeaseRequest,
    Phase,
    Resource,
    ResourceEnded,
)
from colobus.cli.live import follow_live
from colobus.cli.output import details
from colobus.config import find_credentials
from colobus.models import TERMINAL_PHASES
from devcloud.api import DevCloudFailed, Site, Supervisor, cloud_environment, open_devcloud
from devcloud.components.catalog import IMAGE
from devcloud.paths import Paths

PERSON = "alice"
LABELS = {"made-by": "demo"}
LEASE_HOURS = 1
#: Who may log in to the volume: nobody does here, since kernels like those of containers can't.
INITIATOR = "iqn.1993-08.org.debian:01:demo"
HOOK = "/hooks/demo"
#: How long the webhook may take after the VM is active, in seconds.
WEBHOOK_SECONDS = 30
COLOBUS = Path(sys.prefix) / "bin" / "colobus"
#: The headers of Standard Webhooks that the signature is about.
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")

out = Console(highlight=False)


class DemoFailed(RuntimeError):
    """The demo did not do what it is there to show."""


def main() -> None:
    """Show it; whatever fails ends in a few words and a non-zero exit."""
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        cloud = open_devcloud(create=True)
        heading("A developer cloud and Colobus, on this machine")
        cloud.up()
        asyncio.run(show(cloud))
    except KeyboardInterrupt:
        fail("interrupted; `make demo` goes on where it was, `make down` stops what runs")
    except (DevCloudFailed, DemoFailed, ColobusError) as error:
        fail(f"{error}\n\nLogs: {Paths.from_environment().log}/*.log")
    out.print(f"\nDone in {time.monotonic() - began:.0f} s. Everything keeps running.")


async def show(cloud: Supervisor) -> None:
    """Ask for a VM as a user would, and show what comes of it."""
    site, environment = cloud.site, cloud_environment(cloud.site)
    credentials = find_credentials(os_cloud=PERSON, environ=environment)
    receiver = environment["DEVCLOUD_WEBHOOK_RECEIVER_URL"]
    async with Client(environment["COLOBUS_URL"], credentials=credentials) as client:
        await remove_earlier(client)
        heading(f"A VM with a floating IP, asked for by {PERSON} with her Keystone token")
        secret = await client.webhooks.callback_secret()
        vm = await client.create_vm(request(f"{receiver}{HOOK}"))
        out.print(f"POST /v1/vms → 202, {vm.id}\n")
        vm = await follow_live(client, vm.id, {Phase.ACTIVE, *TERMINAL_PHASES}, console=out)
        if vm.status.phase is not Phase.ACTIVE:
            raise ResourceEnded(vm)
        out.print()
        details([(name.replace("_", " "), value) for name, value in vm.status.outputs.items()])
        heading("The webhooks that told of it")
        try:
            await show_webhooks(receiver, vm.id, secret)
        except TimeoutError:
            raise DemoFailed(f"no webhook about it within {WEBHOOK_SECONDS} s") from None
        heading("A volume, offered over iSCSI to one initiator")
        await show_volume(client)
    goodbye(site, environment, vm)


def request(callback_url: str) -> CreateVm:
    """Return what is asked for."""
    return CreateVm(
        name="demo",
        image=IMAGE,
        flavor="small",
        floating_ip=True,
        labels=LABELS,
        lease=LeaseRequest(ttl=LEASE_HOURS * 3600),
        deadline=300,
        callback_url=callback_url,
    )


async def show_volume(client: Client) -> None:
    """Ask for a volume and an attachment in one breath, and show what its owner is told."""
    lease = LeaseRequest(ttl=LEASE_HOURS * 3600)
    volume = await client.create_volume(CreateVolume(size_gib=1, labels=LABELS, lease=lease))
    asked = CreateAttachment(
        volume=volume.id, initiator_iqn=INITIATOR, labels=LABELS, lease=lease, deadline=300
    )
    attachment = await client.create_attachment(asked)
    out.print(f"POST /v1/volumes → 202, {volume.id}\nPOST /v1/attachments → 202, {attachment.id}\n")
    attachment = await follow_live(
        client, attachment.id, {Phase.ACTIVE, *TERMINAL_PHASES}, console=out
    )
    if attachment.status.phase is not Phase.ACTIVE:
        raise ResourceEnded(attachment)
    told = await client.credentials(attachment.id)
    out.print()
    details(
        [
            ("target", told.target_iqn),
            ("portals", ", ".join(told.portals)),
            ("CHAP user", told.chap_username),
            ("CHAP secret", f"{len(told.chap_secret)} characters, told to the owner alone"),
        ]
    )


async def remove_earlier(client: Client) -> None:
    """Give back what earlier runs have left: it counts against the quota."""
    ending = {Phase.DEPROVISIONING, Phase.DELETED}
    for kind in ("vm", "attachment", "volume"):
        async for one in client.list(kind, labels=LABELS):
            if one.status.phase not in ending:
                out.print(f"giving back {one.id} of an earlier run")
                await client.delete(one.id)


async def show_webhooks(receiver: str, vm_id: str, secret: str) -> None:
    """Show the webhooks up to `active`, each signature checked by an independent library."""
    async with asyncio.timeout(WEBHOOK_SECONDS), aiohttp.ClientSession() as session:
        seen = 0
        while True:
            query = {"resource": vm_id, "after": str(seen), "wait": "10"}
            async with session.get(f"{receiver}/deliveries", params=query) as response:
                hooks = await response.json()
            seen = max([seen, *(hook["number"] for hook in hooks)])
            for hook in hooks:
                if hook["path"] != HOOK:  # another subscription, with a secret of its own
                    continue
                phase = verified_phase(hook, secret)
                out.print(f"[green]✓ signature verified[/] {hook['path']}: {vm_id} is {phase}")
                if phase == Phase.ACTIVE:
                    show_one(hook)
                    return


def verified_phase(hook: dict[str, Any], secret: str) -> str:
    """Return the phase that a webhook tells of; fail when its signature is not good."""
    try:
        Webhook(secret).verify(hook["body"], {name: hook["headers"].get(name) for name in SIGNED})
    except WebhookVerificationError as error:
        raise DemoFailed(f"the webhook's signature is not good: {error}") from error
    return str(msgspec.json.decode(hook["body"])["data"]["resource"]["status"]["phase"])


def show_one(hook: dict[str, Any]) -> None:
    """Show a webhook as it came, its body in part."""
    head = [f"{name}: {hook['headers'].get(name)}" for name in SIGNED]
    body = msgspec.json.format(hook["body"].encode(), indent=1).decode().splitlines()
    out.print(Panel(Text("\n".join([*head, "", *body[:12], " …"])), title="the last of them"))


def goodbye(site: Site, environment: dict[str, str], vm: Resource) -> None:
    """Tell where everything is and what to try next."""
    url = environment["COLOBUS_URL"]
    heading("Yours to try")
    details(
        [
            ("API", f"{url}   its documents: {url}/docs"),
            ("webhooks received", f"{environment['DEVCLOUD_WEBHOOK_RECEIVER_URL']}/deliveries"),
            ("Keystone", environment["DEVCLOUD_AUTH_URL"]),
            ("clouds.yaml", site.paths.clouds_yaml),
            ("logs", site.paths.log),
        ]
    )
    tenant = vm.tenant
    commands = f"""
export COLOBUS_URL={url} COLOBUS_TOKEN={environment["COLOBUS_TOKEN"]}
{COLOBUS} vm list
{COLOBUS} vm create --image {IMAGE} --flavor small --floating-ip --lease 1h --wait
{COLOBUS} events {vm.id}
{COLOBUS} vm delete {vm.id} --wait
curl -sH "Authorization: Bearer $COLOBUS_TOKEN" $COLOBUS_URL/v1/vms/{vm.id}
curl -sH "Authorization: Bearer $COLOBUS_TOKEN" -H 'Content-Type: application/json' \\
  -d '{{"image": "{IMAGE}", "flavor": "small"}}' $COLOBUS_URL/v1/vms

# on the bus, as the CI system of the tenant {tenant} (docs/bus.md):
export COLOBUS_AMQP_URL={environment[f"DEVCLOUD_AMQP_URL_{tenant.upper().replace('-', '_')}"]}
{sys.executable} docs/examples/request_vm.py --tenant {tenant} --image {IMAGE} --flavor small
"""
    out.print(Text(commands), soft_wrap=True)
    out.print(f"{vm.id} goes by itself when its lease of {LEASE_HOURS} h ends.", soft_wrap=True)
    out.print("`make down` stops everything and keeps its state.")


def heading(text: str) -> None:
    """Print what comes now."""
    out.print(f"\n[bold]{text}[/]")


def fail(text: str) -> NoReturn:
    """Say why, and exit."""
    Console(stderr=True).print(Text(text, "red"), soft_wrap=True)
    sys.exit(1)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
