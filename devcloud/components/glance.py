"""Glance: boot images, kept as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from devcloud.cloud_venv import venv_path
from devcloud.component import Component
from devcloud.ini import Sections, merge, render_ini
from devcloud.openstack_service import (
    ServiceDatabase,
    WsgiApi,
    common_settings,
    database_settings,
    program,
)


def write_settings(component: Component) -> None:
    """Write glance.conf, in a folder of its own too, where its API looks for it."""
    site = component.site
    state = site.account.own(site.paths.data / "glance")
    store: Sections = {
        name: {"filesystem_store_datadir": str(site.account.own(state / folder))}
        for name, folder in (
            ("files", "images"),
            ("os_glance_tasks_store", "tasks"),
            ("os_glance_staging_store", "staging"),
        )
    }
    own: Sections = {
        "DEFAULT": {
            "enabled_backends": "files:file",
            "worker_self_reference_url": site.ports.url("glance"),
        },
        "database": database_settings(site, "glance"),
        "glance_store": {"default_backend": "files"},
        **store,
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": str(venv_path(site) / "etc" / "glance" / "glance-api-paste.ini"),
        },
    }
    text = render_ini(merge(common_settings(site, "glance"), own))
    site.write_config("glance.conf", text)
    site.write_config("glance/glance-api.conf", text)


class GlanceDatabase(ServiceDatabase):
    """Glance's tables."""

    name = "glance-database"
    databases: ClassVar[tuple[str, ...]] = ("glance",)

    def render(self) -> None:
        """Write glance.conf."""
        write_settings(self)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'glance.conf'}"
        return [[program(self.site, "glance-manage"), config, "db_sync"]]


class Glance(WsgiApi):
    """The image API."""

    name = "glance"
    main_port = "glance"
    requires: ClassVar[tuple[str, ...]] = ("glance-database", "keystone")
    module = "glance.wsgi.api"
    service = "glance"
    service_type = "image"
    health_path = "/versions"

    def render(self) -> None:
        """Write glance.conf."""
        write_settings(self)

    def extra_environment(self) -> Mapping[str, str]:
        """Say where the settings are."""
        return {"OS_GLANCE_CONFIG_DIR": str(self.site.paths.etc / "glance")}
