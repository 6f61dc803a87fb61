"""A stack of two VMs by a template of the catalog, and what it tells of itself."""

from __future__ import annotations

import secrets

from colobus import Client, CreateStack, Resource
from colobus.cli.output import details
from devcloud.components.catalog import IMAGE
from devcloud.demo.telling import LABELS, LEASE, follow_until_active, heading, out

#: What has to be brought up for it, beside all that is brought up without being named.
COMPONENTS = ("stack_worker",)
TEMPLATE = "two-vms"


async def show_stack(client: Client) -> Resource:
    """Ask for it, show Heat's steps, and its outputs."""
    heading("A stack of the catalog: a database, and a web server with a floating IP")
    stack = await client.create_stack(
        CreateStack(
            name="demo-stack",
            template_name=TEMPLATE,
            parameters={"image": IMAGE, "flavor": "small"},
            hidden_parameters={"mysql_password": secrets.token_urlsafe(12)},
            labels=LABELS,
            lease=LEASE,
            deadline=600,
        )
    )
    out.print(f"POST /v1/stacks → 202, {stack.id}\n")
    stack = await follow_until_active(client, stack.id)
    details(stack.status.outputs["outputs"].items())
    return stack
