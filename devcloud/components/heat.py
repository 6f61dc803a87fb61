"""Heat: stacks of a template; an API, and an engine that makes what the template says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from devcloud.broker import has_consumer
from devcloud.cloud_venv import venv_path
from devcloud.component import Component
from devcloud.ini import Sections, merge, render_ini
from devcloud.keystone_client import register_domain_admin
from devcloud.openstack_service import (
    ServiceDatabase,
    WsgiApi,
    broker_url,
    common_settings,
    database_settings,
    environment,
    login,
    program,
)
from devcloud.processes import Daemon

#: Where Heat makes users of its own, for what inside of a stack signals to it.
DOMAIN = "heat"
DOMAIN_ADMIN = "heat-domain-admin"
#: The role of those users; nobody else may have it.
STACK_USER_ROLE = "heat_stack_user"
#: Heat encrypts hidden parameters and trusts in its database with a key of so many characters.
KEY_LENGTH = 32


def write_settings(component: Component) -> None:
    """Write heat.conf."""
    site = component.site
    trustee = login(site, "heat")
    for scope in ("project_name", "project_domain_id", "region_name"):  # it comes with the trust
        trustee.pop(scope)
    api = site.ports.url(HeatApi.name)
    own: Sections = {
        "DEFAULT": {
            "auth_encryption_key": site.credentials["heat-encryption"][:KEY_LENGTH],
            "stack_user_domain_name": DOMAIN,
            "stack_domain_admin": DOMAIN_ADMIN,
            "stack_domain_admin_password": site.credentials[DOMAIN_ADMIN],
            "heat_stack_user_role": STACK_USER_ROLE,
            "deferred_auth_method": "trusts",
            "region_name_for_services": str(login(site, "heat")["region_name"]),
            "heat_metadata_server_url": api,
            "heat_waitcondition_server_url": f"{api}/waitcondition",
            "num_engine_workers": 1,
            "max_stacks_per_tenant": 100,
            # Stacks' parameters marked hidden must not lie in its tables in the clear.
            "encrypt_parameters_and_properties": True,
            # A real cloud's Heat tries five times; failing is a test's business, and quick.
            "action_retry_limit": 1,
            # Only what was written since can be forgotten; the developer cloud keeps little.
            "max_events_per_stack": 200,
        },
        "paste_deploy": {"api_paste_config": str(venv_path(site) / "etc" / "heat/api-paste.ini")},
        "database": database_settings(site, "heat"),
        "trustee": trustee,
        "clients_keystone": {"auth_uri": site.ports.url("keystone", "/v3")},
        "clients": {"endpoint_type": "publicURL"},
    }
    site.write_config("heat.conf", render_ini(merge(common_settings(site, "heat"), own)))


class HeatPart(Component):
    """What all of Heat's components share."""

    needs_cloud_venv = True
    by_default = False

    def render(self) -> None:
        """Write heat.conf."""
        write_settings(self)


class HeatDatabase(HeatPart, ServiceDatabase):
    """Heat's tables."""

    name = "heat-database"
    databases: ClassVar[tuple[str, ...]] = ("heat",)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'heat.conf'}"
        return [[program(self.site, "heat-manage"), config, "db_sync"]]


class HeatApi(HeatPart, WsgiApi):
    """The orchestration API."""

    name = "heat-api"
    main_port = "heat-api"
    requires: ClassVar[tuple[str, ...]] = ("heat-database", "keystone")
    wants: ClassVar[tuple[str, ...]] = ("cloud-rabbitmq",)
    module = "heat.wsgi.api"
    service = "heat"
    service_type = "orchestration"
    endpoint_path = "/v1/%(project_id)s"

    def extra_environment(self) -> Mapping[str, str]:
        """Say where the settings are."""
        return {"OS_HEAT_CONFIG_FILES": str(self.site.paths.etc / "heat.conf")}

    def configure(self) -> None:
        """Register the service, and make the domain of stacks' own users."""
        register_domain_admin(self.site, DOMAIN, DOMAIN_ADMIN, STACK_USER_ROLE)
        super().configure()


class HeatEngine(HeatPart):
    """Makes and deletes what stacks are made of."""

    name = "heat-engine"
    requires: ClassVar[tuple[str, ...]] = ("heat-database", "heat-api", "cloud-rabbitmq")

    def daemons(self) -> Sequence[Daemon]:
        """Return the process."""
        config = f"--config-file={self.site.paths.etc / 'heat.conf'}"
        argv = [program(self.site, self.name), config]
        return (Daemon(self.name, argv, environment(self.site)),)

    def ready(self) -> bool:
        """Tell whether the process serves its queue."""
        return self.running() and has_consumer(broker_url(self.site, "amqp"), "engine")


class Heat(Component):
    """All of Heat, and what stacks are made of, for `up heat`."""

    name = "heat"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("heat-api", "heat-engine", "nova", "catalog")
