"""The order of what is shown, and how it ends when something fails."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import NoReturn

from colobus import Client, ColobusError, Phase
from colobus.config import find_credentials
from devcloud.api import DevCloudFailed, Supervisor, cloud_environment, open_devcloud
from devcloud.demo import app as apps
from devcloud.demo import cluster as kubernetes
from devcloud.demo import machine as bare_metal
from devcloud.demo import stack as heat
from devcloud.demo.ending import goodbye
from devcloud.demo.telling import LABELS, PERSON, DemoFailed, Shown, fail, heading, out
from devcloud.demo.vm import show_vm, show_webhooks
from devcloud.demo.volume import show_volume
from devcloud.paths import Paths
from devcloud.provisioning import why_impossible

ALL = "all"


def main() -> None:
    """Show it; whatever fails ends in a few words and a non-zero exit.

    With the argument ``all`` a stack, a cluster and an app on it too, which need Heat, Magnum,
    Kubernetes and Octavia.
    """
    everything = sys.argv[1:] == [ALL]
    if sys.argv[1:] and not everything:
        fail(f"KINDS may be {ALL}, or not be given; it is {' '.join(sys.argv[1:])!r}")
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        cloud = open_devcloud(create=True)
        heading("A developer cloud and Colobus, on this machine")
        without = why_impossible()
        if without:
            out.print(f"No bare metal: {without}.")
        kinds = (heat.COMPONENTS, kubernetes.COMPONENTS, apps.COMPONENTS)
        more = [one for kind in kinds for one in kind] if everything else []
        cloud.up([*cloud.default, *(() if without else bare_metal.COMPONENTS), *more])
        asyncio.run(show(cloud, machine=not without, everything=everything))
    except KeyboardInterrupt:
        fail("interrupted; `make demo` goes on where it was, `make down` stops what runs")
    except (DevCloudFailed, DemoFailed, ColobusError) as error:
        fail(f"{error}\n\nLogs: {Paths.from_environment().log}/*.log")
    out.print(f"\nDone in {time.monotonic() - began:.0f} s. Everything keeps running.")


async def show(cloud: Supervisor, *, machine: bool, everything: bool) -> None:
    """Ask for things as a user would, and show what comes of it."""
    site, environment = cloud.site, cloud_environment(cloud.site)
    credentials = find_credentials(os_cloud=PERSON, environ=environment)
    receiver = environment["DEVCLOUD_WEBHOOK_RECEIVER_URL"]
    async with Client(environment["COLOBUS_URL"], credentials=credentials) as client:
        await remove_earlier(client)
        vm = await show_vm(client, receiver)
        making = await kubernetes.begin_cluster(client, site) if everything else None
        booting = await bare_metal.begin_machine(client, site) if machine else None
        await show_webhooks(client, receiver, vm.id)
        await show_volume(client)
        booted = await bare_metal.show_machine(client, booting) if booting else None
        stack = await heat.show_stack(client) if everything else None
        cluster = await kubernetes.show_cluster(client, site, making) if making else None
        app = await apps.show_app(client, cluster) if cluster else None
    goodbye(site, environment, Shown(vm, booted, stack, cluster, app))


async def remove_earlier(client: Client) -> None:
    """Give back what earlier runs have left: it counts against the quota."""
    ending = {Phase.DEPROVISIONING, Phase.DELETED}
    for kind in ("machine", "vm", "attachment", "volume", "stack", "app", "cluster"):
        async for one in client.list(kind, labels=LABELS):
            if one.status.phase not in ending:
                out.print(f"giving back {one.id} of an earlier run")
                await client.delete(one.id)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
