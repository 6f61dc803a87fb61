"""The admin step, on the real broker and database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aiormq
import asyncpg
import msgspec
import pytest

from services.admin.access import ACCESS
from services.admin.environment import environment_of
from services.admin.install import check, install
from services.admin.settings import AdminSettings
from shared.runtime.errors import BackendUnavailable, ConfigurationError
from shared.runtime.secrets import SealingKey, master_key
from shared.runtime.settings import Secret
from tests.support.broker import VirtualHost

pytestmark = pytest.mark.timeout(120)


async def test_installing_twice_changes_nothing(settings: AdminSettings) -> None:
    """Idempotent: afterwards nothing is amiss, and every secret is still the same."""
    await install(settings)
    secrets = {path.name: path.read_bytes() for path in settings.credentials_dir.iterdir()}
    await install(settings)
    assert await check(settings) == []
    assert {p.name: p.read_bytes() for p in settings.credentials_dir.iterdir()} == secrets


async def test_secrets_are_for_their_owner_only(installed: AdminSettings) -> None:
    """The folder is 0700, each file 0600, and the keys are usable."""
    folder = installed.credentials_dir
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(master_key((folder / "master.key").read_text())) == 32
    for worker in ("vm_worker", "iscsi_worker"):
        assert SealingKey.load(folder / f"{worker}.sealing.key").public_key


async def test_what_is_amiss_is_named_and_installing_heals_it(
    installed: AdminSettings, vhost: VirtualHost
) -> None:
    """A deleted queue and binding are told by check, and are there again after install."""
    connection = await aiormq.connect(vhost.url)
    channel = await connection.channel()
    await channel.queue_delete("vm_worker.commands")
    await channel.queue_unbind("dead_letters", "colobus.dead-letters", routing_key="#")
    faults = " ".join(await check(installed))
    assert "vm_worker.commands" in faults
    assert "dead_letters" in faults
    await install(installed)
    assert await check(installed) == []
    await connection.close()


async def test_a_changed_password_is_noticed_and_set(installed: AdminSettings) -> None:
    """The kept secrets are the truth for broker and database."""
    folder = installed.credentials_dir
    (folder / "scheduler.amqp").write_text("another")
    (folder / "scheduler.postgres").write_text("another")
    faults = " ".join(await check(installed))
    assert "colobus-scheduler" in faults
    assert "role scheduler" in faults
    await install(installed)
    assert await check(installed) == []


async def test_tables_that_the_service_owned_become_their_owners(installed: AdminSettings) -> None:
    """As the first version left them; the service goes on using them."""
    role, owner = (f"scheduler{kind}_{installed.role_suffix}" for kind in ("", "_owner"))
    administrator = await asyncpg.connect(installed.admin_database_dsn)
    await administrator.execute(f"REASSIGN OWNED BY {owner} TO {role}")
    await administrator.close()
    assert "may change tables" in " ".join(await check(installed))
    await install(installed)
    assert await check(installed) == []
    service = await asyncpg.connect(environment_of("scheduler", installed)["COLOBUS_DATABASE_DSN"])
    assert await service.fetchval("SELECT count(*) FROM outbox") == 0
    await service.close()


async def test_a_queue_in_another_form_is_a_clear_error(
    settings: AdminSettings, vhost: VirtualHost
) -> None:
    """It may hold messages, so it is not replaced; the error says which and what differs."""
    connection = await aiormq.connect(vhost.url)
    channel = await connection.channel()
    await channel.queue_declare("scheduler.requests", durable=True)
    with pytest.raises(ConfigurationError, match=r"scheduler\.requests.*inequivalent arg"):
        await install(settings)
    await connection.close()


async def test_a_queue_of_queries_in_another_form_is_replaced(
    settings: AdminSettings, vhost: VirtualHost
) -> None:
    """Nobody waits for what is in it; earlier versions declared a classic one."""
    connection = await aiormq.connect(vhost.url)
    channel = await connection.channel()
    await channel.queue_declare("scheduler.queries", durable=True)
    await install(settings)
    assert await check(settings) == []
    await connection.close()


async def test_without_a_broker_the_error_is_temporary(settings: AdminSettings) -> None:
    """An operator may just run it again."""
    away = msgspec.structs.replace(settings, admin_amqp_management_url=Secret("http://127.0.0.1:1"))
    with pytest.raises(BackendUnavailable):
        await install(away)


async def test_the_environment_before_installing_is_an_error(settings: AdminSettings) -> None:
    """It says what to run; no half-made secret is handed out."""
    with pytest.raises(ConfigurationError, match=r"services\.admin install"):
        environment_of("scheduler", settings)


def test_the_environment_has_what_each_service_needs(installed: AdminSettings) -> None:
    """Database for the owners of schemas, keys for those that use them, and who is who."""
    names = {service: set(environment_of(service, installed)) for service in ACCESS}
    common = {"COLOBUS_AMQP_URLS", "COLOBUS_TENANTS_FILE"}
    database, master = {"COLOBUS_DATABASE_DSN"}, {"COLOBUS_MASTER_KEY_FILE"}
    assert names == {
        "front_door": common | database | master | {"COLOBUS_SEALING_PUBLIC_KEYS"},
        "scheduler": common | database | {"COLOBUS_FRONT_DOOR_USER"},
        "vm_worker": common | {"COLOBUS_SEALING_KEY_FILE"},
        "baremetal_worker": common | {"COLOBUS_CHAP_KEY_FILE"},
        "iscsi_worker": common | {"COLOBUS_CHAP_KEY_FILE", "COLOBUS_SEALING_KEY_FILE"},
        "k8s_worker": common | {"COLOBUS_SEALING_KEY_FILE"},
        "stack_worker": common | {"COLOBUS_SEALING_KEY_FILE"},
        "webhook_worker": common | database | master,
    }


def _run(settings: AdminSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "COLOBUS_ADMIN_AMQP_URL": settings.admin_amqp_url[0],
        "COLOBUS_ADMIN_AMQP_MANAGEMENT_URL": settings.admin_amqp_management_url,
        "COLOBUS_ADMIN_DATABASE_DSN": settings.admin_database_dsn,
        "COLOBUS_CREDENTIALS_DIR": str(settings.credentials_dir),
        "COLOBUS_TENANTS_FILE": str(settings.tenants_file),
        "COLOBUS_ROLE_SUFFIX": settings.role_suffix,
    }
    return subprocess.run(
        [sys.executable, "-m", "services.admin", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_installs_checks_and_prints(settings: AdminSettings) -> None:
    """Exit codes tell; the environment is printed as KEY=VALUE; logs carry no secret."""
    done = _run(settings, "install")
    assert done.returncode == 0, done.stderr
    for path in settings.credentials_dir.iterdir():
        assert path.read_text().strip() not in done.stderr + done.stdout
    assert _run(settings, "check").returncode == 0
    printed = dict(
        line.split("=", 1) for line in _run(settings, "environment", "front_door").stdout.split()
    )
    assert printed == environment_of("front_door", settings)
