"""The short form of an app as objects: a Deployment; with a port a Service and an Ingress. Pure.

The Ingress is one for Octavia's ingress controller (cloud-provider-openstack), which wants the
annotation of its class, a Service of type NodePort, and to be told to give a floating IP.
"""

from __future__ import annotations

from typing import Any

#: What all of them are called, in a namespace that is the app's own.
NAME = "app"
_SELECTOR = {"app.kubernetes.io/name": NAME}
_ANNOTATIONS = {
    "kubernetes.io/ingress.class": "openstack",
    "octavia.ingress.kubernetes.io/internal": "false",
}


def objects(image: str, replicas: int, port: int | None, host: str | None) -> list[dict[str, Any]]:
    """Return the objects; an Ingress without a host is for all."""
    found = [_deployment(image, replicas, port)]
    if port is not None:
        found += [_service(port), _ingress(port, host)]
    return found


def _deployment(image: str, replicas: int, port: int | None) -> dict[str, Any]:
    container: dict[str, Any] = {"name": NAME, "image": image}
    if port is not None:
        container["ports"] = [{"containerPort": port, "protocol": "TCP"}]
    template = {"metadata": {"labels": _SELECTOR}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": _SELECTOR}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _named(), "spec": spec}


def _service(port: int) -> dict[str, Any]:
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    spec = {"type": "NodePort", "selector": _SELECTOR, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _named(), "spec": spec}


def _ingress(port: int, host: str | None) -> dict[str, Any]:
    backend = {"service": {"name": NAME, "port": {"number": port}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    rule: dict[str, Any] = {"http": {"paths": [path]}}
    if host is not None:
        rule["host"] = host
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**_named(), "annotations": _ANNOTATIONS},
        "spec": {"rules": [rule]},
    }


def _named() -> dict[str, Any]:
    return {"name": NAME, "labels": _SELECTOR}
