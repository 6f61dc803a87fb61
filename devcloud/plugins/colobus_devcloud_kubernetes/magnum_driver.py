"""Magnum's driver: a cluster is a folder that `host` makes a control plane of. It needs no Heat.

Magnum calls it in its conductor and asks it every ten seconds for clusters on their way. All it
knows is in the folders and in Magnum's database, so a conductor that was killed goes on.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from magnum.common import exception
from magnum.conductor.handlers.common import cert_manager
from magnum.drivers.common import driver, k8s_monitor
from magnum.objects.fields import ClusterStatus as State

from . import magnum_tenant
from .folder import FAILED, RUNNING, Folder, Status, Wanted
from .node_names import chosen

#: Where the folders are.
ROOT_VARIABLE = "COLOBUS_DEVCLOUD_CLUSTERS"
#: Between the row in the database and the folder is some work; when that died, nobody takes it up.
LOST_AFTER = datetime.timedelta(seconds=60)


def folder_of(cluster: Any) -> Folder:
    """Return the folder of a cluster."""
    return Folder(Path(os.environ[ROOT_VARIABLE]) / cluster.uuid)


class Driver(driver.Driver):
    """Kubernetes on loopback, in place of servers with Debian."""

    @property
    def provides(self) -> list[dict[str, str]]:
        """Return what templates it is for."""
        return [{"server_type": "vm", "os": "debian", "coe": "kubernetes"}]

    def create_cluster(self, context: Any, cluster: Any, cluster_create_timeout: int) -> None:
        """Ask for a control plane with Magnum's authority."""
        nodes = chosen([], cluster.default_ng_worker.node_count)
        authority = cert_manager.get_cluster_ca_certificate(cluster, context)
        Folder.create(
            folder_of(cluster).path,
            _text(authority.get_certificate()),
            _text(authority.get_decrypted_private_key()),
            nodes,
            lambda: asdict(magnum_tenant.issue(context, cluster)),
        )
        cluster.stack_id = cluster.uuid

    def update_cluster(
        self, context: Any, cluster: Any, scale_manager: Any = None, rollback: bool = False
    ) -> None:
        """Ask for the number of nodes that Magnum has now."""
        self._resize(cluster, cluster.default_ng_worker.node_count)

    def resize_cluster(
        self,
        context: Any,
        cluster: Any,
        resize_manager: Any,
        node_count: int,
        nodes_to_remove: list[str],
        nodegroup: Any = None,
    ) -> None:
        """Ask for so many nodes; those to remove are named as Kubernetes names them."""
        self._resize(cluster, node_count, nodes_to_remove or ())

    def delete_cluster(self, context: Any, cluster: Any) -> None:
        """Have nothing left of it in the tenant's cloud, and ask for nothing to be left here."""
        folder = folder_of(cluster)
        magnum_tenant.clear(context, cluster, folder)
        folder.discard()
        if folder.exists():
            folder.want(Wanted(nodes=[], deleted=True))

    def update_cluster_status(
        self, context: Any, cluster: Any, use_admin_ctx: bool = False
    ) -> None:
        """Tell Magnum how far a cluster is."""
        folder = folder_of(cluster)
        if cluster.status == State.DELETE_IN_PROGRESS:
            if not folder.exists():
                cluster.status = State.DELETE_COMPLETE
                cluster.save()
        elif not folder.exists():
            self._lost(cluster)
        else:
            self._report(cluster, folder.wanted(), folder.status())

    def _report(self, cluster: Any, wanted: Wanted, status: Status) -> None:
        creating = cluster.status == State.CREATE_IN_PROGRESS
        if status.state == FAILED:
            outcome = State.CREATE_FAILED if creating else State.UPDATE_FAILED
            self._save(cluster, outcome, status)
        elif status.state == RUNNING and list(status.nodes) == wanted.nodes:
            outcome = State.CREATE_COMPLETE if creating else State.UPDATE_COMPLETE
            self._save(cluster, outcome, status)

    def _save(self, cluster: Any, outcome: str, status: Status) -> None:
        for group in cluster.nodegroups:
            workers = list(status.nodes.values())
            master = [status.host] if status.state == RUNNING else []
            group.node_addresses = master if group.role == "master" else workers
            group.status, group.status_reason = outcome, status.reason
            group.stack_id = cluster.stack_id
            group.save()
        if status.state == RUNNING:
            cluster.api_address = status.api_address
            cluster.coe_version = status.version
        cluster.status, cluster.status_reason = outcome, status.reason
        cluster.save()

    def _lost(self, cluster: Any) -> None:
        age = datetime.datetime.now(datetime.UTC) - cluster.created_at
        if cluster.status != State.CREATE_IN_PROGRESS:
            reason = "The control plane's files are gone."
            self._save(cluster, State.UPDATE_FAILED, Status(state=FAILED, reason=reason))
        elif age > LOST_AFTER:
            reason = "The conductor ended before it asked for a control plane."
            self._save(cluster, State.CREATE_FAILED, Status(state=FAILED, reason=reason))

    def _resize(self, cluster: Any, count: int, unwanted: Iterable[str] = ()) -> None:
        folder = folder_of(cluster)
        folder.want(Wanted(chosen(folder.wanted().nodes, count, unwanted)))

    def get_monitor(self, context: Any, cluster: Any) -> Any:
        """Return Magnum's own look at a cluster's health."""
        return k8s_monitor.K8sMonitor(context, cluster)

    def upgrade_cluster(self, context: Any, cluster: Any, *args: Any, **options: Any) -> None:
        """Refuse: there is one version of Kubernetes here."""
        raise exception.NotSupported(operation="upgrade")

    def create_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Refuse: all nodes are alike."""
        raise exception.NotSupported(operation="create a node group")

    def update_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Refuse: see `create_nodegroup`; the default ones are resized."""
        raise exception.NotSupported(operation="update a node group")

    def delete_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Refuse: see `create_nodegroup`."""
        raise exception.NotSupported(operation="delete a node group")

    def create_federation(self, context: Any, federation: Any) -> None:
        """Refuse."""
        raise exception.NotSupported(operation="create a federation")

    def update_federation(self, context: Any, federation: Any) -> None:
        """Refuse."""
        raise exception.NotSupported(operation="update a federation")

    def delete_federation(self, context: Any, federation: Any) -> None:
        """Refuse."""
        raise exception.NotSupported(operation="delete a federation")


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
