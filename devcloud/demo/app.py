"""An app on the demo's cluster: an image, a port and a host become an address in the world."""

from __future__ import annotations

from colobus import Client, CreateApp, Resource
from colobus.cli.output import details
from devcloud.demo.telling import LABELS, LEASE, DemoFailed, follow_until_active, heading, out

#: What has to be brought up for it, beside what its cluster needs.
COMPONENTS = ("kubernetes-balancers",)
IMAGE, PORT, HOST, REPLICAS = "nginx:1.25", 80, "web.example.org", 2


async def show_app(client: Client, cluster: Resource) -> Resource:
    """Ask for it, show how it is rolled out, and the address of its Ingress."""
    heading("An app on it: a Deployment, and an Ingress with a load balancer and a floating IP")
    app = await client.create_app(
        CreateApp(
            name="demo-app",
            cluster=cluster.id,
            image=IMAGE,
            port=PORT,
            replicas=REPLICAS,
            host=HOST,
            labels=LABELS,
            lease=LEASE,
            deadline=600,
        )
    )
    out.print(f"POST /v1/apps → 202, {app.id}\n")
    app = await follow_until_active(client, app.id)
    outputs = app.status.outputs
    if not outputs["addresses"]:
        raise DemoFailed(f"{app.id} is active and its Ingress has no address")
    details(
        [
            ("namespace", outputs["namespace"]),
            *((one["kind"], f"{one['name']}, ready: {one['ready']}") for one in outputs["parts"]),
            ("address", f"{', '.join(outputs['addresses'])}   for http://{HOST}"),
        ]
    )
    return app
