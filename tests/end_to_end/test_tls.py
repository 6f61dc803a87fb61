"""Everything over TLS: bus, database, HTTP, the cloud's APIs, its tokens and its notifications."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from colobus import Client, CreateVm
from colobus.credentials import KeystoneLogin, keystone_login
from devcloud.api import open_devcloud
from services.admin.install import check, install
from services.admin.settings import AdminSettings
from shared.runtime.probe import probe
from shared.runtime.settings import Secret
from tests.support.cloud import NOTHING, Cloud
from tests.support.conditions import eventually
from tests.support.installation import SERVICES, Installation, free_ports
from tests.support.tls import NAME, Authority, Servers, servers, terminating
from tests.support.webhooks import receiving

TENANT = "bigtop"
PARTS = {"identity": "keystone", "compute": "nova-api", "network": "neutron", "image": "glance"}


async def test_a_vm_is_made_over_nothing_but_tls(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Install, POST, wait with a Keystone token, active, webhook, DELETE, on private CAs."""
    authority = Authority.make(tmp_path / "authority")
    monkeypatch.setenv("COLOBUS_CA_FILE", str(authority.file))
    async with _cloud_over_tls(authority, environment) as addresses:
        with servers(authority) as private:
            made = _installation(private, environment, addresses, tmp_path)
            await install(made.admin)
            assert await check(made.admin) == []
            cloud = Cloud(environment, made.name)
            try:
                for service in SERVICES:
                    made.spawn(service)
                await eventually(lambda: _ready(made), within=180, what="all are ready")
                await _a_vms_life(made, cloud, _member_login(environment, addresses))
                own, clouds = urlsplit(private.amqp_url), urlsplit(addresses["notifications"])
                assert _brokers_of(made, "vm_worker") == {own.port, clouds.port}
            finally:
                made.stop()
                cloud.clear()


def _member_login(environment: Mapping[str, str], addresses: Mapping[str, str]) -> KeystoneLogin:
    """A person of the tenant's project, who logs in to Keystone."""
    known = yaml.safe_load(Path(environment["OS_CLIENT_CONFIG_FILE"]).read_text())
    auth = {**known["clouds"]["alice"]["auth"], "auth_url": addresses["identity"]}
    return keystone_login(auth)


async def _a_vms_life(made: Installation, cloud: Cloud, login: KeystoneLogin) -> None:
    url = f"https://{NAME}:{made.ports['front_door']}"
    async with (
        receiving() as receiver,
        Client(url, token=made.tokens[TENANT]) as client,
        Client(url, credentials=login) as member,
    ):
        vm = await client.create_vm(
            CreateVm(image="debian-12", flavor="small", callback_url=receiver.url())
        )
        vm = await member.wait(vm.id, timeout=240)
        assert cloud.holds(vm.id).counts == (1, 1, 0)
        await client.delete(vm.id)
        phases = {"active", "deleted"}
        await receiver.until(lambda: phases <= {r.phase for r in receiver.at()}, seconds=240)
    assert cloud.holds(vm.id).counts == NOTHING


def _brokers_of(made: Installation, process: str) -> set[int | None]:
    """The ports of the brokers that it was connected to, once or again."""
    lines = map(json.loads, made.log(process).read_text().splitlines())
    return {
        urlsplit(f"//{line['broker']}").port
        for line in lines
        if line["event"] == "connected to broker"
    }


async def _ready(made: Installation) -> bool:
    for service in SERVICES:
        process = made.processes[service]
        assert process.poll() is None, made.log(service).read_text()[-3000:]
        if await asyncio.to_thread(probe, made.ports[service], tls=True):
            return False
    return True


@asynccontextmanager
async def _cloud_over_tls(
    authority: Authority, environment: Mapping[str, str]
) -> AsyncIterator[dict[str, str]]:
    """TLS in front of the cloud; {service: its URL, notifications: the broker's}."""
    files = authority.issue(to="cloud")
    ports = open_devcloud().site.ports
    broker = urlsplit(environment["DEVCLOUD_NOTIFICATIONS_AMQP_URL"])
    assert broker.port is not None
    async with AsyncExitStack() as stack:
        found = {}
        for service, part in PARTS.items():
            port = await stack.enter_async_context(terminating(*files, ports[part]))
            found[service] = f"https://{NAME}:{port}"
        port = await stack.enter_async_context(terminating(*files, broker.port))
        login = broker.netloc.rpartition("@")[0]
        netloc = f"{login}@{NAME}:{port}"
        query = f"cafile={authority.file}"
        moved = broker._replace(scheme="amqps", netloc=netloc, query=query)
        yield {
            **found,
            "identity": f"{found['identity']}/v3",
            "notifications": moved.geturl(),
        }


def _installation(
    private: Servers, environment: Mapping[str, str], addresses: Mapping[str, str], folder: Path
) -> Installation:
    name, token = f"test{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    certificate, key = private.authority.issue(to="services")
    common = {
        "COLOBUS_HTTP_TLS_CERT_FILE": str(certificate),
        "COLOBUS_HTTP_TLS_KEY_FILE": str(key),
    }
    networks = {"COLOBUS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    own: dict[str, dict[str, str]] = {
        "scheduler": {"COLOBUS_INSPECT_SLOW_SECONDS": "3", **networks},
        "vm_worker": {
            "COLOBUS_CLOUDS_FILE": str(_clouds(private, environment, addresses, folder)),
            "COLOBUS_NOTIFICATIONS_URLS": f"devcloud={addresses['notifications']}",
        },
        "webhook_worker": networks,
        "front_door": {
            "COLOBUS_KEYSTONE_URLS": f"devcloud={addresses['identity']}",
            "COLOBUS_KEYSTONE_CA_FILE": str(private.authority.file),
            **networks,
        },
    }
    digest = hashlib.sha256(token.encode()).hexdigest()
    tenant: dict[str, Any] = {
        "projects": {"devcloud": environment[f"DEVCLOUD_PROJECT_ID_{TENANT.upper()}"]},
        "tokens": [{"name": "tests", "sha256": digest, "role": "member"}],
        "quota": {"vms": 2, "floating_ips": 1},
    }
    (folder / "tenants.yaml").write_text(yaml.safe_dump({"tenants": {TENANT: tenant}}))
    return Installation(
        name=name,
        folder=folder,
        admin=AdminSettings(
            admin_amqp_url=(Secret(private.amqp_url),),
            admin_amqp_management_url=Secret(private.management_url),
            admin_database_dsn=Secret(private.database_dsn),
            credentials_dir=folder / "credentials",
            tenants_file=folder / "tenants.yaml",
            amqp_ca_file=private.authority.file,
        ),
        tokens={TENANT: token},
        ports=dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True)),
        extra={service: {**common, **settings} for service, settings in own.items()},
    )


def _clouds(
    private: Servers, environment: Mapping[str, str], addresses: Mapping[str, str], folder: Path
) -> Path:
    known = yaml.safe_load(Path(environment["OS_CLIENT_CONFIG_FILE"]).read_text())
    entry = known["clouds"]["devcloud"]
    moved = {
        **entry,
        "auth": {**entry["auth"], "auth_url": addresses["identity"]},
        "cacert": str(private.authority.file),
        "compute_endpoint_override": f"{addresses['compute']}/v2.1",
        "network_endpoint_override": addresses["network"],
        "image_api_version": "2",
        "image_endpoint_override": addresses["image"],
    }
    path = folder / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": {"devcloud": moved}}))
    path.chmod(0o600)
    return path
