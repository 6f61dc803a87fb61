"""The Prometheus registry of this process; each room defines its own metrics on it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

#: The Content-Type of `exposition`, in full.
CONTENT_TYPE = CONTENT_TYPE_LATEST

_build = Info("colobus_build", "What runs here", registry=REGISTRY)


def set_build_info(service: str) -> None:
    """Say which service, version and Python this is (``colobus_build_info``)."""
    _build.info({"service": service, "version": version(), "python": platform.python_version()})


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


def version() -> str:
    """Colobus' version, as it is installed."""
    try:
        return installed_version("colobus")
    except PackageNotFoundError:
        return "unreleased"  # a checkout: nothing is installed as a package
