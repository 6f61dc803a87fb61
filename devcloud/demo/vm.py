"""A VM from the POST to the webhook."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
from rich.panel import Panel
from rich.text import Text
from standardwebhooks import Webhook, WebhookVerificationError

from colobus import Client, CreateVm, Phase, Resource
from devcloud.components.catalog import IMAGE
from devcloud.demo.telling import (
    LABELS,
    LEASE,
    PERSON,
    DemoFailed,
    follow_until_active,
    heading,
    out,
    show_outputs,
)

HOOK = "/hooks/demo"
#: How long the webhook may take after the VM is active, in seconds.
WEBHOOK_SECONDS = 30
#: The headers of Standard Webhooks that the signature is about.
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


async def show_vm(client: Client, receiver: str) -> Resource:
    """Ask for a VM as a user would, and show what comes of it."""
    heading(f"A VM with a floating IP, asked for by {PERSON} with her Keystone token")
    vm = await client.create_vm(request(f"{receiver}{HOOK}"))
    out.print(f"POST /v1/vms → 202, {vm.id}\n")
    vm = await follow_until_active(client, vm.id)
    show_outputs(vm)
    return vm


def request(callback_url: str) -> CreateVm:
    """Return what is asked for."""
    return CreateVm(
        name="demo",
        image=IMAGE,
        flavor="small",
        floating_ip=True,
        labels=LABELS,
        lease=LEASE,
        deadline=300,
        callback_url=callback_url,
    )


async def show_webhooks(client: Client, receiver: str, vm_id: str) -> None:
    """Show the webhooks up to `active`, each signature checked by an independent library."""
    heading("The webhooks that told of it")
    secret = await client.webhooks.callback_secret()
    try:
        async with asyncio.timeout(WEBHOOK_SECONDS), aiohttp.ClientSession() as session:
            await _show_until_active(session, receiver, vm_id, secret)
    except TimeoutError:
        raise DemoFailed(f"no webhook about it within {WEBHOOK_SECONDS} s") from None


async def _show_until_active(
    session: aiohttp.ClientSession, receiver: str, vm_id: str, secret: str
) -> None:
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
