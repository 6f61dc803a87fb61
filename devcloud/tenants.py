"""Who uses the developer cloud: tenants, their people, and the service user that acts for them.

To its users it is two clouds: each tenant has a project on either, with quotas of its own. Both are
the same Keystone, Nova and Neutron, but one host takes servers of the second cloud only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from devcloud.site import Site

SERVICE_USER = "colobus"
BARE_METAL_USER = "colobus-bare-metal"
"""Colobus as Ironic's operator: nodes belong to no project. It has no rights in any."""


@dataclass(frozen=True, slots=True)
class Person:
    """An end user with one role in the project of one tenant."""

    name: str
    tenant: str
    role: str = "member"


TENANTS = ("bigtop", "openlab")
#: The clouds by their names in clouds.yaml, and what a tenant's project on each is called.
CLOUD, SECOND_CLOUD = "devcloud", "devcloud-two"
BARE_METAL_CLOUD = "devcloud-bare-metal"
CLOUDS = {CLOUD: "{tenant}", SECOND_CLOUD: "{tenant}-two"}
PEOPLE = (Person("alice", "bigtop"), Person("bob", "openlab"), Person("carol", "bigtop", "reader"))


def clouds_yaml(site: Site, people: Mapping[str, str]) -> str:
    """Return the clients' configuration.

    Args:
        site: The cloud.
        people: Each person's project by name of the person.

    The clouds of `CLOUDS` are the service user without a project: Colobus adds the tenant's.
    """
    admin = _cloud(site, "admin", site.credentials["keystone-admin"], project_name="admin")
    clouds = {name: _cloud(site, SERVICE_USER, site.credentials[SERVICE_USER]) for name in CLOUDS}
    clouds["devcloud-admin"] = admin
    clouds[BARE_METAL_CLOUD] = _cloud(
        site, BARE_METAL_USER, site.credentials[BARE_METAL_USER], system_scope="all"
    )
    for name, project in people.items():
        clouds[name] = _cloud(site, name, site.credentials[name], project_name=project)
    return yaml.safe_dump({"clouds": clouds}, sort_keys=False)


def _cloud(site: Site, username: str, password: str, **scope: str) -> dict[str, object]:
    auth = {
        "auth_url": site.ports.url("keystone", "/v3"),
        "username": username,
        "password": password,
        "user_domain_id": "default",
        "project_domain_id": "default",
        **scope,
    }
    return {"auth": auth, "region_name": "RegionOne", "identity_api_version": 3}
