"""What the demo leaves: where everything is, and what to try next."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.text import Text

from colobus.cli.output import details
from devcloud.api import Site
from devcloud.components.catalog import IMAGE
from devcloud.demo.app import REPLICAS
from devcloud.demo.cluster import NODES, kubeconfig_of
from devcloud.demo.machine import console_of
from devcloud.demo.telling import LEASE_HOURS, Shown, heading, out
from devcloud.tenants import BARE_METAL_CLOUD

COLOBUS = Path(sys.prefix) / "bin" / "colobus"


def goodbye(site: Site, environment: dict[str, str], shown: Shown) -> None:
    """Tell it."""
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
    vm, tenant = shown.vm, shown.vm.tenant
    commands = f"""
export COLOBUS_URL={url} COLOBUS_TOKEN={environment["COLOBUS_TOKEN"]}
{COLOBUS} vm list
{COLOBUS} vm create --image {IMAGE} --flavor small --floating-ip --lease 1h --wait
{COLOBUS} events {vm.id}
{COLOBUS} vm delete {vm.id} --wait
curl -sH "Authorization: Bearer $COLOBUS_TOKEN" $COLOBUS_URL/v1/vms/{vm.id}
curl -sH "Authorization: Bearer $COLOBUS_TOKEN" -H 'Content-Type: application/json' \\
  -d '{{"image": "{IMAGE}", "flavor": "small"}}' $COLOBUS_URL/v1/vms
{_of_machine(site, shown)}{_of_cluster(site, shown)}{_of_app(site, shown)}
# on the bus, as the CI system of the tenant {tenant} (docs/bus.md):
export COLOBUS_AMQP_URL={environment[f"DEVCLOUD_AMQP_URL_{tenant.upper().replace('-', '_')}"]}
{sys.executable} docs/examples/request_vm.py --tenant {tenant} --image {IMAGE} --flavor small
"""
    out.print(Text(commands), soft_wrap=True)
    going = ", ".join(shown.ids())
    out.print(
        f"Each goes by itself when its lease of {LEASE_HOURS} h ends: {going}.", soft_wrap=True
    )
    out.print("`make down` stops everything and keeps its state.")


def _of_machine(site: Site, shown: Shown) -> str:
    if shown.machine is None:
        return ""
    machine = shown.machine
    return f"""
# the machine: its power cycle on its console, and the nodes as their operator sees them
{COLOBUS} machine reboot {machine.id}; tail -f {console_of(site, machine)}
OS_CLIENT_CONFIG_FILE={site.paths.clouds_yaml} OS_CLOUD={BARE_METAL_CLOUD} {COLOBUS} node list
{COLOBUS} machine delete {machine.id} --wait
"""


def _of_cluster(site: Site, shown: Shown) -> str:
    if shown.cluster is None:
        return ""
    return f"""
# the cluster, by any kubectl; then with a node more
kubectl --kubeconfig {kubeconfig_of(site)} get nodes
{COLOBUS} cluster resize {shown.cluster.id} {NODES + 1}
"""


def _of_app(site: Site, shown: Shown) -> str:
    if shown.app is None:
        return ""
    return f"""
# the app, as its cluster shows it; then with a pod more
kubectl --kubeconfig {kubeconfig_of(site)} --namespace {shown.app.id} get deployments,ingresses
curl -sH "Authorization: Bearer $COLOBUS_TOKEN" -H 'Content-Type: application/json' -X PATCH \\
  -d '{{"replicas": {REPLICAS + 1}}}' $COLOBUS_URL/v1/apps/{shown.app.id}
"""
