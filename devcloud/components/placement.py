"""Placement: who has how much room left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

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
    """Write placement.conf, in a folder of its own too, where its API looks for it."""
    site = component.site
    own: Sections = {
        "placement_database": database_settings(site, "placement"),
        "api": {"auth_strategy": "keystone"},
    }
    text = render_ini(merge(common_settings(site, "placement"), own))
    site.write_config("placement.conf", text)
    site.write_config("placement/placement.conf", text)


class PlacementDatabase(ServiceDatabase):
    """Placement's tables."""

    name = "placement-database"
    databases: ClassVar[tuple[str, ...]] = ("placement",)

    def render(self) -> None:
        """Write placement.conf."""
        write_settings(self)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        config = f"--config-file={self.site.paths.etc / 'placement.conf'}"
        return [[program(self.site, "placement-manage"), config, "db", "sync"]]


class Placement(WsgiApi):
    """The Placement API."""

    name = "placement"
    main_port = "placement"
    requires: ClassVar[tuple[str, ...]] = ("placement-database", "keystone")
    module = "placement.wsgi.api"
    service = "placement"
    service_type = "placement"

    def render(self) -> None:
        """Write placement.conf."""
        write_settings(self)

    def extra_environment(self) -> Mapping[str, str]:
        """Say where the settings are."""
        return {"OS_PLACEMENT_CONFIG_DIR": str(self.site.paths.etc / "placement")}
