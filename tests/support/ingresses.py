"""What a cluster's user asks for to be reached from outside: Services and Ingresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient

from tests.support.conditions import eventually

#: How long it may take until one is served, or gone, in seconds.
WITHIN = 180.0


def service(name: str, kind: str, *ports: int) -> dict[str, Any]:
    """Return a Service."""
    listed = [{"name": f"port-{port}", "port": port} for port in ports]
    spec = {"type": kind, "selector": {"app": name}, "ports": listed}
    return {"metadata": {"name": name}, "spec": spec}


def ingress(name: str, backend: str) -> dict[str, Any]:
    """Return an Ingress of the default class before a Service."""
    behind = {"service": {"name": backend, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": behind}
    rule = {"host": f"{name}.test", "http": {"paths": [path]}}
    return {"metadata": {"name": name}, "spec": {"rules": [rule]}}


async def apply_ingress(api: ApiClient, name: str) -> int:
    """Make a Service on the nodes and an Ingress before it; return the nodes' port."""
    made = await client.CoreV1Api(api).create_namespaced_service(
        "default", service(name, "NodePort", 80)
    )
    await client.NetworkingV1Api(api).create_namespaced_ingress("default", ingress(name, name))
    return int(made.spec.ports[0].node_port)


async def delete_ingress(api: ApiClient, name: str) -> None:
    """Ask for the end of both."""
    await client.NetworkingV1Api(api).delete_namespaced_ingress(name, "default")
    await client.CoreV1Api(api).delete_namespaced_service(name, "default")


async def address_of(read: Callable[[], Awaitable[Any]]) -> str:
    """Wait until what is read has an address, and return that."""

    async def shown() -> str | None:
        found = (await read()).status.load_balancer.ingress or ()
        return str(found[0].ip) if found else None

    return await eventually(shown, within=WITHIN, what="it has an address")


async def is_gone(read: Callable[[], Awaitable[Any]]) -> None:
    """Wait until there is no such object any more."""

    async def gone() -> bool:
        try:
            await read()
        except client.ApiException as error:
            return bool(error.status == 404)
        return False

    await eventually(gone, within=WITHIN, what="it is gone")
