"""What a cluster has in its tenant's cloud: a credential, and what was made with it.

Magnum 23 makes no trusts any more. An application credential is what other drivers of it give to
their clusters: it is of the user who asks for the cluster, for that project, with one role, and
ends with that user's rights.
"""

from __future__ import annotations

from typing import Any

import magnum.conf
from magnum.common import clients, keystone, octavia
from magnum.common import context as contexts

from . import cluster_remains
from .folder import Folder
from .tenant_cloud import Login

#: What making networks, floating IPs and load balancers takes.
ROLE = "member"
#: Seconds for whoever makes load balancers to let go; on the way they ask before each look.
WITHIN = 240.0


def issue(context: Any, cluster: Any) -> Login:
    """Make the credential, in the name of whoever asks for the cluster."""
    asked = keystone.KeystoneClientV3(context)
    _revoke(asked.client, cluster)
    made = asked.client.create_application_credential(
        cluster.user_id, _name(cluster), roles=[{"name": ROLE}]
    )
    region = magnum.conf.CONF.octavia_client.region_name
    where = {"service_type": "identity", "interface": "public", "region_name": region}
    return Login(
        auth_url=asked.session.get_endpoint(**where),
        region=region,
        credential_id=made.id,
        secret=made.secret,
        external_network=cluster.cluster_template.external_network_id,
    )


def clear(context: Any, cluster: Any, folder: Folder) -> None:
    """Remove the load balancers that nobody has drained, the network, and the credential.

    Load balancers are found by their descriptions, by Magnum's own code.

    Raises:
        Exception: Something could not be removed; the deletion fails and may be repeated.
    """
    administrator = contexts.make_admin_context()
    if folder.exists():
        folder.end_balancers()
        with folder.balancing(WITHIN):
            _clear_balancers(context, administrator, cluster)
    else:
        _clear_balancers(context, administrator, cluster)
    _revoke(keystone.KeystoneClientV3(administrator).client, cluster)


def _clear_balancers(context: Any, administrator: Any, cluster: Any) -> None:
    cluster_remains.remove(
        cluster.uuid,
        cluster.project_id,
        clients.OpenStackClients(administrator).neutron(),
        lambda: clients.OpenStackClients(context).octavia().load_balancers(),
        lambda: octavia.delete_loadbalancers(context, cluster),
    )


def _revoke(identity: Any, cluster: Any) -> None:
    for found in identity.application_credentials(cluster.user_id, name=_name(cluster)):
        identity.delete_application_credential(cluster.user_id, found)


def _name(cluster: Any) -> str:
    return f"cluster-{cluster.uuid}"
