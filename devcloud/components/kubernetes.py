"""Kubernetes: its programs, and the process that all clusters are children of (see `plugins`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from devcloud.component import Component
from devcloud.kubernetes.build import build
from devcloud.kubernetes.programs import ETCD, programs
from devcloud.openstack_service import environment, program
from devcloud.plugins import colobus_devcloud_kubernetes as plugin
from devcloud.processes import Daemon
from devcloud.site import Site

PACKAGE = plugin.__name__.rpartition(".")[2]


class NoPrograms(RuntimeError):
    """Kubernetes' programs were there when they were looked for, and are not now."""


def clusters_root(site: Site) -> Path:
    """Return where the clusters' folders are."""
    return site.paths.data / "kubernetes-clusters"


def network(site: Site) -> str:
    """Return the beginning of the clusters' loopback addresses: this cloud's own, by its ports."""
    return f"127.{site.ports.base >> 8}.{site.ports.base & 255}"


def install_plugin(site: Site) -> None:
    """Copy the modules to where the daemons can read them."""
    site.install_plugin_package(Path(plugin.__file__).parent)


class Kubernetes(Component):
    """The programs; the first time, building them takes ten minutes and more."""

    name = "kubernetes"
    by_default = False
    packages: ClassVar[tuple[str, ...]] = ("etcd-server",)

    def configured(self) -> bool:
        """Tell whether all programs are there."""
        return programs(self.site) is not None

    def configure(self) -> None:
        """Build them."""
        build(self.site, self.tell)


class KubernetesClusters(Component):
    """The clusters' host. Stopped or killed, it takes all clusters along, and has them back after.

    Its children are of its process group, which is what is stopped: they can't outlive it.
    """

    name = "kubernetes-clusters"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("kubernetes",)
    needs_cloud_venv = True

    def render(self) -> None:
        """Install the modules."""
        install_plugin(self.site)
        self.site.account.own(clusters_root(self.site))

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        known = programs(self.site)
        paths = {name: str(path) for name, path in known.items()} if known else {}
        arguments = [str(clusters_root(self.site)), network(self.site), json.dumps(paths)]
        command = [program(self.site, "python"), "-m", f"{PACKAGE}.host", *arguments]
        return (Daemon(self.name, command, environment(self.site), grace=20.0),)

    def start(self) -> None:
        """Start it, with programs."""
        if programs(self.site) is None:
            raise NoPrograms(f"no {ETCD}, or nothing built: bring up the component kubernetes")
        super().start()


class KubernetesBalancers(Component):
    """Who makes load balancers for what clusters' users ask of Kubernetes (see `plugins`)."""

    name = "kubernetes-balancers"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("kubernetes-clusters", "octavia", "magnum")
    needs_cloud_venv = True

    def render(self) -> None:
        """Install the modules."""
        install_plugin(self.site)

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        arguments = ["-m", f"{PACKAGE}.balancers", str(clusters_root(self.site))]
        command = [program(self.site, "python"), *arguments]
        return (Daemon(self.name, command, environment(self.site)),)
