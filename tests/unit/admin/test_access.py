"""The patterns that permissions are made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.admin.access import (
    ACCESS,
    broker_user,
    database_role,
    service_permissions,
    tenant_permissions,
)
from services.admin.broker import users
from services.admin.credentials import Credentials
from services.admin.management import is_password, password_hash
from services.admin.settings import AdminSettings
from shared.contract.topology import TOPOLOGY
from shared.runtime.errors import ConfigurationError
from shared.runtime.settings import Secret, SettingsError, load


def test_every_user_has_a_topic_permission_on_every_exchange() -> None:
    """None means all keys are allowed (RabbitMQ), so none may be missing."""
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    for service, access in ACCESS.items():
        assert set(service_permissions(service, access).topics) == exchanges
    assert set(tenant_permissions("bigtop", "ci").topics) == exchanges


def test_every_queue_has_the_service_of_its_name_as_reader() -> None:
    """``<service>.<what>``: declared queues and the table of access belong together."""
    queues = {queue.name for queue in TOPOLOGY.work_queues}
    queues |= {queue.name for queue in TOPOLOGY.query_queues}
    read = {queue for access in ACCESS.values() for queue in access.consumes}
    assert queues - read == {"dead_letters"}, "that one is the operator's"
    for service, access in ACCESS.items():
        assert all(queue.startswith(f"{service}.") for queue in access.consumes)


@pytest.mark.parametrize(
    ("queue", "own"),
    [
        ("front_door.live.01abc", True),
        ("front_door.status", False),
        ("front_doorxlive.1", False),
        ("scheduler.live.1", False),
        ("x.front_door.live.1", False),
    ],
)
def test_the_front_door_declares_only_live_queues_of_its_own(queue: str, own: bool) -> None:
    """Patterns are anchored, and dots are dots."""
    pattern = service_permissions("front_door", ACCESS["front_door"]).configure
    assert bool(re.search(pattern, queue)) is own


@pytest.mark.parametrize(
    ("key", "own"),
    [("big.vm.create", True), ("bigger.vm.create", False), ("x.big.vm", False), ("bigxvm", False)],
)
def test_a_tenants_keys_begin_with_its_name_and_a_dot(key: str, own: bool) -> None:
    """Another tenant whose name begins alike is another tenant."""
    write, _ = tenant_permissions("big", "ci").topics["colobus.requests"]
    assert bool(re.search(write, key)) is own


def _settings(folder: Path, broker_user: str) -> AdminSettings:
    tenants = folder / "tenants.yaml"
    tenants.write_text(f"tenants: {{t: {{projects: {{c: p}}, broker_user: '{broker_user}'}}}}")
    return AdminSettings(
        admin_amqp_url=(Secret("amqp://admin:secret@127.0.0.1/colobus"),),
        admin_amqp_management_url=Secret("http://127.0.0.1:1"),
        admin_database_dsn=Secret("postgresql://127.0.0.1/colobus"),
        credentials_dir=folder,
        tenants_file=tenants,
    )


@pytest.mark.parametrize(
    "user", ["scheduler", "colobus-scheduler", "amq", "colobus", "a.b", "../x", ".*", "ci x", "ä"]
)
def test_a_tenants_user_cannot_take_a_name_of_ours(tmp_path: Path, user: str) -> None:
    """Its permissions are on ``<user>.*``; these must be nobody else's queues, nor exchanges."""
    with pytest.raises(ConfigurationError, match="broker_user"):
        list(users(_settings(tmp_path, user), Credentials(tmp_path), make=True))


def test_a_tenants_user_gets_a_password_of_its_own(tmp_path: Path) -> None:
    """Kept under the user's name, for the operator to hand over."""
    *services, tenant = users(_settings(tmp_path, "ci-t"), Credentials(tmp_path), make=True)
    assert len(services) == len(ACCESS)
    assert (tmp_path / "ci-t.amqp").read_text().strip() == tenant.password
    assert len({user.password for user in (*services, tenant)}) == len(services) + 1


@pytest.mark.parametrize(
    ("suffix", "user", "role"),
    [
        ("", "colobus-front-door", "front_door"),
        ("x1", "colobus-front-door-x1", "front_door_x1"),
    ],
)
def test_names_carry_the_suffix_of_their_installation(suffix: str, user: str, role: str) -> None:
    """Several installations on one server stay apart."""
    assert (broker_user("front_door", suffix), database_role("front_door", suffix)) == (user, role)


def test_a_password_is_recognized_by_its_salted_hash() -> None:
    """The form is RabbitMQ's own (an example of rabbitmq.com/docs/passwords)."""
    assert password_hash("test12", bytes.fromhex("908DC60A")) == (
        "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    )
    assert is_password("test12", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    assert not is_password("test13", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")


def test_all_missing_settings_are_told_at_once() -> None:
    """An operator sees the whole list."""
    with pytest.raises(SettingsError) as error:
        load(AdminSettings, {})
    assert len(error.value.faults) == 4
