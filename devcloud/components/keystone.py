"""Identity: users, projects, roles, tokens and the catalogue of all APIs."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import ClassVar

from devcloud.component import Component
from devcloud.credentials import write_private
from devcloud.ini import Sections, render_ini
from devcloud.openstack_service import (
    REGION,
    ServiceDatabase,
    WsgiApi,
    database_settings,
    environment,
    program,
)


def write_settings(component: Component) -> None:
    """Write keystone.conf."""
    site = component.site
    keys = site.account.own(site.paths.data / "keystone")
    settings: Sections = {
        "DEFAULT": {"use_stderr": True, "max_token_size": 255},
        "database": database_settings(site, "keystone"),
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": str(site.account.own(keys / "fernet"))},
        "fernet_receipts": {"key_repository": str(site.account.own(keys / "fernet"))},
        "credential": {"key_repository": str(site.account.own(keys / "credential"))},
        # Passwords here are random: slow hashing would only slow down every login.
        "identity": {"password_hash_rounds": 4},
        # One process serves all requests, so its own memory is a coherent cache: a validated token
        # costs 50 ms instead of 500.
        "cache": {"enabled": True, "backend": "oslo_cache.dict"},
    }
    site.write_config("keystone.conf", render_ini(settings))


def manage(component: Component, *arguments: str) -> list[str]:
    """Return a keystone-manage command."""
    config = f"--config-file={component.site.paths.etc / 'keystone.conf'}"
    return [program(component.site, "keystone-manage"), config, *arguments]


class KeystoneDatabase(ServiceDatabase):
    """Keystone's tables."""

    name = "keystone-database"
    databases: ClassVar[tuple[str, ...]] = ("keystone",)

    def render(self) -> None:
        """Write keystone.conf."""
        write_settings(self)

    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the schema's migration."""
        return [manage(self, "db_sync")]


class Keystone(WsgiApi):
    """Keystone with fernet tokens; its administrator is `admin` in the project `admin`."""

    name = "keystone"
    main_port = "keystone"
    requires: ClassVar[tuple[str, ...]] = ("keystone-database",)
    module = "keystone.wsgi.api"
    service = "keystone"
    health_path = "/v3"

    def render(self) -> None:
        """Write keystone.conf."""
        write_settings(self)

    def configured(self) -> bool:
        """Tell whether keys and the first users were made."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make keys and the first users; `keystone-manage` would take seconds for the keys."""
        owner = (self.site.account.uid, self.site.account.gid)
        for folder in ("fernet", "credential"):
            for number in ("0", "1"):
                key = self.site.paths.data / "keystone" / folder / number
                if not key.exists():
                    write_private(key, base64.urlsafe_b64encode(os.urandom(32)).decode(), owner)
        url = self.site.ports.url(self.name, "/v3")
        interfaces = [f"--bootstrap-{kind}-url={url}" for kind in ("public", "internal", "admin")]
        bootstrap = manage(self, "bootstrap", f"--bootstrap-region-id={REGION}", *interfaces)
        secret = {"OS_BOOTSTRAP_PASSWORD": self.site.credentials["keystone-admin"]}
        env = {**environment(self.site), **secret}
        self.site.tools.run(self.name, bootstrap, environment=env)
        self.site.mark_done(self.name)
