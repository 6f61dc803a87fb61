"""What the OpenStack services have in common: settings, database, API server, registration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from devcloud.cloud_venv import lock_hash, venv_path
from devcloud.component import Component, answers_http
from devcloud.components.cloud_rabbitmq import CloudRabbitMQ
from devcloud.components.mariadb import USER as DATABASE_USER
from devcloud.components.mariadb import client, query
from devcloud.ini import Sections, Value
from devcloud.keystone_client import register_service
from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.site import Site

REGION = "RegionOne"
QUIET = (
    "amqp=WARN,sqlalchemy=WARN,oslo.messaging=WARN,oslo_messaging=WARN,iso8601=WARN,requests=WARN,"
    "urllib3=WARN,keystonemiddleware=WARN,routes=WARN,stevedore=WARN,keystoneauth=WARN,"
    "oslo_policy=ERROR"
)


def database_url(site: Site, database: str) -> str:
    """Return SQLAlchemy's address of a database."""
    login = f"{DATABASE_USER}:{site.credentials['mariadb']}"
    return f"mysql+pymysql://{login}@{HOST}:{site.ports['mariadb']}/{database}?charset=utf8mb4"


def broker_url(site: Site, scheme: str = "rabbit") -> str:
    """Return the address of the cloud's broker."""
    login = f"{CloudRabbitMQ.user}:{site.credentials[CloudRabbitMQ.name]}"
    return f"{scheme}://{login}@{HOST}:{site.ports[CloudRabbitMQ.name]}/"


def login(site: Site, user: str) -> dict[str, Value]:
    """Return how a service user logs in to Keystone."""
    return {
        "auth_url": site.ports.url("keystone", "/v3"),
        "auth_type": "password",
        "username": user,
        "password": site.credentials[user],
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": REGION,
    }


def common_settings(site: Site, service: str) -> Sections:
    """Return the settings that every service but Keystone shares."""
    state = site.account.own(site.paths.data / service)
    return {
        "DEFAULT": {
            "transport_url": broker_url(site),
            "state_path": str(state),
            "use_stderr": True,
            "default_log_levels": QUIET,
            "rpc_response_timeout": 30,
            "graceful_shutdown_timeout": 3,
            "executor_thread_pool_size": 16,
        },
        "oslo_concurrency": {"lock_path": str(site.account.own(state / "lock"))},
        "oslo_messaging_notifications": {"driver": "messagingv2"},
        # The default rules; a file that isn't there is searched for at every check of a rule, which
        # takes a tenth of Neutron's time.
        "oslo_policy": {"policy_file": site.write_config("policy.yaml", "{}\n")},
        "keystone_authtoken": {
            "www_authenticate_uri": site.ports.url("keystone", "/v3"),
            "service_token_roles": "service",
            "service_token_roles_required": True,
            **login(site, service),
        },
        "service_user": {"send_service_user_token": True, **login(site, service)},
    }


def database_settings(site: Site, database: str) -> dict[str, Value]:
    """Return a `[database]` section."""
    return {"connection": database_url(site, database), "max_pool_size": 5, "max_overflow": 20}


def program(site: Site, name: str) -> str:
    """Return the path of a program of the cloud's virtual environment."""
    return str(venv_path(site) / "bin" / name)


def environment(site: Site) -> dict[str, str]:
    """Return the environment of every OpenStack process."""
    return {
        "PYTHONPATH": str(site.paths.plugins),
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{venv_path(site) / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin",
    }


class ServiceDatabase(Component, ABC):
    """The migrated databases of one service.

    The first migration of a set of locked requirements is dumped to the cache; later clouds load
    the dump, which takes seconds instead of minutes. So migrations must write nothing that belongs
    to one cloud: no password, port or path.
    """

    requires: ClassVar[tuple[str, ...]] = ("mariadb",)
    packages: ClassVar[tuple[str, ...]] = ("mariadb-client",)
    needs_cloud_venv = True
    databases: ClassVar[tuple[str, ...]]

    @abstractmethod
    def migrations(self) -> Sequence[Sequence[str]]:
        """Return the commands that migrate empty databases, in order."""

    @property
    def dump(self) -> Path:
        """Return where the migrated databases are kept."""
        return self.site.paths.cache / "databases" / f"{self.name}-{lock_hash()}.sql"

    def configured(self) -> bool:
        """Tell whether the databases are complete."""
        return self.site.is_done(self.name)

    def configure(self) -> None:
        """Make the databases anew, from the dump or by migrating."""
        for database in self.databases:
            query(self.site, f"DROP DATABASE IF EXISTS {database}")
            query(self.site, f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        if self.dump.exists():
            self.site.tools.run(self.name, client(self.site), input_file=self.dump)
        else:
            for command in self.migrations():
                self.site.tools.run(self.name, command, environment=environment(self.site))
            self._keep()
        self.site.mark_done(self.name)

    def _keep(self) -> None:
        self.dump.parent.mkdir(exist_ok=True)
        partial = self.dump.with_suffix(f".{self.site.ports.base}.partial")
        argv = [*client(self.site, "mariadb-dump"), "--databases", *self.databases]
        self.site.tools.run(self.name, argv, output_file=partial)
        partial.replace(self.dump)


class WsgiApi(Component):
    """One service's API in one uwsgi process, registered in Keystone's catalogue."""

    needs_cloud_venv = True
    module: ClassVar[str]
    service: ClassVar[str]
    """The service's user in Keystone, and the name of its configuration file."""
    service_type: ClassVar[str]
    threads: ClassVar[int] = 8
    endpoint_path: ClassVar[str] = ""
    health_path: ClassVar[str] = "/"

    def extra_environment(self) -> Mapping[str, str]:
        """Return further variables, such as where the service looks for its settings."""
        return {}

    def configured(self) -> bool:
        """Tell whether the service is registered."""
        return self.site.is_done(f"{self.service}-registered")

    def configure(self) -> None:
        """Register the service's user and endpoint."""
        url = self.site.ports.url(self.name, self.endpoint_path)
        register_service(self.site, self.service, self.service_type, url)

    def daemons(self) -> Sequence[Daemon]:
        """Return the uwsgi process."""
        venv = venv_path(self.site)
        config = self.site.paths.etc / f"{self.service}.conf"
        argv = [
            program(self.site, "uwsgi"),
            f"--http-socket={HOST}:{self.site.ports[self.name]}",
            f"--module={self.module}:application",
            f"--home={venv}",
            "--processes=1",
            f"--threads={self.threads}",
            "--enable-threads",
            "--lazy-apps",
            "--need-app",
            "--die-on-term",
            "--buffer-size=65535",
            "--http-raw-body",
            "--http-chunked-input",
            "--add-header=Connection: close",
            "--log-format=request %(method) %(uri) %(status) %(msecs) ms",
            # Neutron wants to know since when its workers run.
            "--set=start-time=%t",
            f"--procname-prefix={self.name} ",
            f"--pyargv=--config-file={config}",
        ]
        return (Daemon(self.name, argv, {**environment(self.site), **self.extra_environment()}),)

    def ready(self) -> bool:
        """Tell whether the API answers."""
        return self.running() and answers_http(self.site.ports[self.name], self.health_path)
