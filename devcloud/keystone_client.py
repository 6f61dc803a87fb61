"""The administrator's view of the cloud, through openstacksdk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from devcloud.site import Site

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.identity.v3._proxy import Proxy as Identity

SERVICE_PROJECT = "service"
SERVICE_ROLES = ("admin", "service")
CONNECT_RETRIES = 3
_REGISTERING = threading.Lock()


def connect_admin(site: Site, *, system: bool = False) -> Connection:
    """Return a connection as administrator of the whole cloud.

    Args:
        site: The cloud.
        system: Ask for a token of the system's scope, which Ironic's policies want, instead of one
            of the project `admin`.
    """
    import openstack

    scope = {"system_scope": "all"} if system else {"project_name": "admin"}
    return openstack.connect(
        auth={
            "auth_url": site.ports.url("keystone", "/v3"),
            "username": "admin",
            "password": site.credentials["keystone-admin"],
            "user_domain_id": "default",
            "project_domain_id": "default",
            **scope,
        },
        region_name="RegionOne",
        # uWSGI may close a kept connection just when a request comes over it.
        connect_retries=CONNECT_RETRIES,
        load_envvars=False,
        load_yaml_config=False,
    )


def register_service(site: Site, name: str, kind: str, url: str) -> None:
    """Make a service's user and its entry in the catalogue, whatever of it is missing.

    Args:
        site: The cloud.
        name: The service's and its user's name.
        kind: The service type, such as `compute`.
        url: Where the API is, for every interface.
    """
    step = f"{name}-registered"
    with _REGISTERING:  # two services at once would both make the project
        if not site.is_done(step):
            _register(connect_admin(site).identity, site.credentials[name], name, kind, url)
            site.mark_done(step)


def register_operator(site: Site, name: str) -> None:
    """Make a user that may operate what belongs to no project, such as bare metal."""
    identity = connect_admin(site).identity
    user = identity.find_user(name) or identity.create_user(
        name=name, domain_id="default", password=site.credentials[name]
    )
    role = identity.find_role("admin", ignore_missing=False)
    identity.assign_system_role_to_user(user, role, "all")


def register_domain_admin(site: Site, domain: str, name: str, role: str) -> None:
    """Make a domain and a user who is its administrator, and ``role``, which its users will have.

    Args:
        site: The cloud.
        domain: The domain's name.
        name: The user's; it belongs to that domain.
        role: A role of no rights but those that a service gives to users it makes itself.
    """
    identity = connect_admin(site).identity
    found = identity.find_domain(domain) or identity.create_domain(name=domain)
    user = identity.find_user(name, domain_id=found.id) or identity.create_user(
        name=name, domain_id=found.id, password=site.credentials[name]
    )
    admin = identity.find_role("admin", ignore_missing=False)
    identity.assign_domain_role_to_user(found, user, admin)
    if identity.find_role(role) is None:
        identity.create_role(name=role)


def _register(identity: Identity, password: str, name: str, kind: str, url: str) -> None:
    project = identity.find_project(SERVICE_PROJECT) or identity.create_project(
        name=SERVICE_PROJECT, domain_id="default"
    )
    user = identity.find_user(name) or identity.create_user(
        name=name, domain_id="default", password=password
    )
    for role_name in SERVICE_ROLES:
        role = identity.find_role(role_name, ignore_missing=False)
        identity.assign_project_role_to_user(project, user, role)
    service = identity.find_service(name) or identity.create_service(name=name, type=kind)
    present = {e.interface: e for e in identity.endpoints(service_id=service.id)}
    for interface in ("public", "internal", "admin"):
        if interface not in present:
            identity.create_endpoint(
                service_id=service.id, interface=interface, url=url, region_id="RegionOne"
            )
