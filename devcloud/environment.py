"""What programs need to know of the cloud, as environment variables."""

from __future__ import annotations

import json

from devcloud.ceph_settings import POOL, TARGET, WORKER, conf_path
from devcloud.components.ceph import Ceph
from devcloud.components.ceph_iscsi import (
    GATEWAY,
    ISCSI_PORT,
    USER,
    CephIscsi,
    password_path,
    portal_address,
)
from devcloud.components.colobus import broker_user, token_name
from devcloud.components.postgresql import DATABASE, SUPERUSER, PostgreSQL
from devcloud.components.rabbitmq import RabbitMQ
from devcloud.components.tgt import offered_at, tgtadm_path
from devcloud.openstack_service import broker_url
from devcloud.ports import HOST
from devcloud.site import Site
from devcloud.tenants import SECOND_CLOUD


def cloud_environment(site: Site) -> dict[str, str]:
    """Return variables for the parts of this cloud that were set up."""
    found = {"DEVCLOUD_STATE_DIR": str(site.paths.state)}
    if site.is_done(RabbitMQ.name):
        found |= _broker(site)
    if site.is_done(PostgreSQL.name):
        password = site.credentials[PostgreSQL.name]
        where = f"{HOST}:{site.ports[PostgreSQL.name]}/{DATABASE}"
        found["DEVCLOUD_POSTGRES_DSN"] = f"postgresql://{SUPERUSER}:{password}@{where}"
    if site.is_done(Ceph.name):
        found |= _ceph(site)
    if tgtadm_path(site).exists():
        found["DEVCLOUD_TGTADM"] = str(tgtadm_path(site))
        found["DEVCLOUD_TGT_PORTALS"] = ",".join(offered_at(site))
    if password_path(site).exists():
        found |= _ceph_iscsi(site)
    if site.paths.nodes_yaml.exists():
        found["DEVCLOUD_NODES_YAML"] = str(site.paths.nodes_yaml)
    if site.paths.tenants_json.exists():
        found |= _openstack(site)
        found |= _colobus(site)
    return found


def _broker(site: Site) -> dict[str, str]:
    login = f"{RabbitMQ.user}:{site.credentials[RabbitMQ.name]}@{HOST}"
    port, management = site.ports["rabbitmq"], site.ports["rabbitmq-management"]
    return {
        "DEVCLOUD_AMQP_URL": f"amqp://{login}:{port}/{RabbitMQ.vhost}",
        "DEVCLOUD_AMQP_MANAGEMENT_URL": f"http://{login}:{management}",
    }


def _ceph(site: Site) -> dict[str, str]:
    """Return what a client of Colobus' pool needs; ceph.conf says where the users' keys are."""
    return {
        "DEVCLOUD_CEPH_CONF": str(conf_path(site)),
        "DEVCLOUD_CEPH_POOL": POOL,
        "DEVCLOUD_CEPH_USER": WORKER,
        "DEVCLOUD_CEPH_TGT_USER": TARGET,
        # For `colobus image`.
        "COLOBUS_CEPH_CONF": str(conf_path(site)),
        "COLOBUS_CEPH_POOL": POOL,
        "COLOBUS_CEPH_USER": WORKER.removeprefix("client."),
    }


def _ceph_iscsi(site: Site) -> dict[str, str]:
    """Return what the gateway's entry in a stores file is made of."""
    return {
        "DEVCLOUD_CEPH_ISCSI_URL": site.ports.url(CephIscsi.name),
        "DEVCLOUD_CEPH_ISCSI_USER": USER,
        "DEVCLOUD_CEPH_ISCSI_PASSWORD_FILE": str(password_path(site)),
        "DEVCLOUD_CEPH_ISCSI_GATEWAY": GATEWAY,
        "DEVCLOUD_CEPH_ISCSI_PORTAL": f"{portal_address(site)}:{ISCSI_PORT}",
    }


def _openstack(site: Site) -> dict[str, str]:
    found = {
        "OS_CLIENT_CONFIG_FILE": str(site.paths.clouds_yaml),
        "DEVCLOUD_AUTH_URL": site.ports.url("keystone", "/v3"),
        "DEVCLOUD_NOTIFICATIONS_AMQP_URL": broker_url(site, "amqp"),
        "DEVCLOUD_TENANTS_JSON": str(site.paths.tenants_json),
    }
    for tenant, facts in json.loads(site.paths.tenants_json.read_text()).items():
        name = tenant.upper().replace("-", "_")
        found[f"DEVCLOUD_PROJECT_ID_{name}"] = facts["project_id"]
        second = facts.get("projects", {}).get(SECOND_CLOUD)
        if second is not None:
            found[f"DEVCLOUD_TWO_PROJECT_ID_{name}"] = second
    return found


def _colobus(site: Site) -> dict[str, str]:
    found = {
        "COLOBUS_URL": site.ports.url("front_door"),
        "DEVCLOUD_COLOBUS_DIR": str(site.paths.state / "colobus"),
        "DEVCLOUD_WEBHOOK_RECEIVER_URL": site.ports.url("webhook-receiver"),
    }
    for tenant in json.loads(site.paths.tenants_json.read_text()):
        found |= _on_the_bus(site, tenant)
        variable = f"DEVCLOUD_COLOBUS_TOKEN_{tenant.upper().replace('-', '_')}"
        found[variable] = site.credentials[token_name(tenant)]
        found.setdefault("COLOBUS_TOKEN", found[variable])
    return found


def _on_the_bus(site: Site, tenant: str) -> dict[str, str]:
    """Return the broker as the tenant's own user, once the admin step has made that."""
    user = broker_user(tenant)
    password = site.paths.state / "colobus" / "credentials" / f"{user}.amqp"
    if not password.exists():
        return {}
    login = f"{user}:{password.read_text().strip()}@{HOST}:{site.ports['rabbitmq']}"
    variable = f"DEVCLOUD_AMQP_URL_{tenant.upper().replace('-', '_')}"
    return {variable: f"amqp://{login}/{RabbitMQ.vhost}"}
