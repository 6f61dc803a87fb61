"""Clusters of one tenant through Magnum's API, as its user makes them with openstacksdk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openstack

from devcloud.components.magnum import IMAGE
from tests.support.conditions import eventually_sync
from tests.support.kubernetes import Access, key_text, new_key, signing_request

_NUMBERS = itertools.count(1)
#: Since when an order to resize names the nodes to remove.
_RESIZE = {"OpenStack-API-Version": "container-infra 1.7"}
WITHIN = 180.0


class Clusters:
    """What one person sees of Magnum."""

    def __init__(self, environment: dict[str, str], person: str) -> None:
        config = openstack.config.OpenStackConfig(
            config_files=[environment["OS_CLIENT_CONFIG_FILE"]]
        ).get_one(cloud=person)
        self.magnum: Any = openstack.connection.Connection(
            config=config
        ).container_infrastructure_management
        self._person = person

    @contextmanager
    def template(self) -> Iterator[str]:
        """Provide a template, as long as it is needed."""
        made = self.magnum.create_cluster_template(
            name=f"{self._person}-{next(_NUMBERS)}",
            coe="kubernetes",
            image_id=IMAGE,
            flavor_id="small",
            master_flavor_id="small",
            external_network_id="external",
            network_driver="calico",
            floating_ip_enabled=True,
            master_lb_enabled=False,
        )
        try:
            yield made.id
        finally:
            self.magnum.delete_cluster_template(made.id)

    def begin(self, template: str, nodes: int) -> str:
        """Ask for a cluster; return its uuid."""
        name = f"{self._person}-{next(_NUMBERS)}"
        asked = {"node_count": nodes, "master_count": 1, "create_timeout": 5}
        made = self.magnum.create_cluster(name=name, cluster_template_id=template, **asked)
        eventually_sync(lambda: self._known(made.id), within=WITHIN, what="Magnum knows it")
        return str(made.id)

    def status(self, cluster: str) -> Any:
        """Return what Magnum says of a cluster; None while or when it knows none.

        A 404 about its template raises: the cluster is there, and can't be shown.
        """
        try:
            return self.magnum.get_cluster(cluster)
        except openstack.exceptions.NotFoundException as error:
            if "ClusterTemplate" in str(error):
                raise
            return None

    def _known(self, cluster: str) -> bool | None:
        """Tell whether Magnum knows a cluster; None: it has it, but without its groups of nodes.

        So it is for a moment after the cluster's making, and before its end: 400, not 404.
        """
        try:
            return self.status(cluster) is not None
        except openstack.exceptions.BadRequestException:
            return None

    def until(self, cluster: str, status: str) -> Any:
        """Wait for a status, and return what Magnum says then; fail at another end."""

        def there() -> Any:
            seen = self.status(cluster)
            if seen is None or seen.status != status:
                other = seen is not None and seen.status.endswith("_FAILED")
                assert not other, (seen.status, seen.status_reason)
                return None
            return seen

        return eventually_sync(there, within=WITHIN, what=f"cluster {cluster} is {status}")

    def access(self, cluster: str) -> Access:
        """Return how its owner opens a cluster: with a certificate that Magnum issues now."""
        key = new_key()
        authority = self.magnum.get_cluster_certificate(cluster)
        issued = self.magnum.create_cluster_certificate(
            cluster_uuid=cluster, csr=signing_request(key)
        )
        address = self.magnum.get_cluster(cluster).api_address
        return Access(address, authority.pem, issued.pem, key_text(key))

    def set_node_count(self, cluster: str, count: int) -> None:
        """Change the number of nodes by an update."""
        change = [{"op": "replace", "path": "/node_count", "value": count}]
        answer = self.magnum.patch(f"/clusters/{cluster}", json=change)
        openstack.exceptions.raise_from_response(answer)

    def resize(self, cluster: str, count: int, *without: str) -> None:
        """Change the number of nodes by an order to resize, which may say which are to go."""
        order = {"node_count": count, "nodes_to_remove": list(without)}
        path = f"/clusters/{cluster}/actions/resize"
        answer = self.magnum.post(path, json=order, headers=_RESIZE)
        openstack.exceptions.raise_from_response(answer)

    def delete_once(self, cluster: str) -> None:
        """Have a cluster deleted by one order, and wait until it is; fail where that fails."""
        self.magnum.delete_cluster(cluster)

        def gone() -> bool:
            try:
                seen = self.status(cluster)
            except openstack.exceptions.BadRequestException:  # see `_known`
                return False
            assert seen is None or seen.status != "DELETE_FAILED", seen.status_reason
            return seen is None

        eventually_sync(gone, within=WITHIN, what=f"{cluster} is deleted by one order")

    def delete(self, cluster: str) -> None:
        """Have a cluster deleted, and wait until Magnum knows of none."""
        self.magnum.delete_cluster(cluster, ignore_missing=True)
        eventually_sync(
            lambda: self._known(cluster) is False, within=WITHIN, what=f"{cluster} is deleted"
        )
