"""The secrets of containers: each folder holds what one of them may see, and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from services.admin.access import ACCESS
from services.admin.administrators import complete
from services.admin.export import export
from services.admin.settings import AdminSettings
from shared.runtime.errors import ConfigurationError
from shared.runtime.settings import Secret

ROOT = Path(__file__).resolve().parents[3]
TENANTS = "tenants: {bigtop: {projects: {devcloud: p1}, broker_user: ci-bigtop}}"


@pytest.fixture
def settings(tmp_path: Path) -> AdminSettings:
    """As in compose.yaml: the URLs leave the administrators' passwords to us."""
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text(TENANTS)
    return AdminSettings(
        admin_amqp_url=(
            Secret("amqp://administrator@broker/colobus"),
            Secret("amqp://administrator@broker-2/colobus"),
        ),
        admin_amqp_management_url=Secret("http://broker:15672"),
        admin_database_dsn=Secret("postgresql://postgres@database/colobus?sslmode=verify-full"),
        credentials_dir=tmp_path / "secrets" / "credentials",
        tenants_file=tenants,
    )


def test_each_service_gets_its_own_login_on_every_broker(
    settings: AdminSettings, tmp_path: Path
) -> None:
    """URLs for all nodes, with the service's user, and a DSN that keeps its parameters."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    for service, access in ACCESS.items():
        urls = (folder / service / "amqp_urls").read_text().strip().split(",")
        assert [urlsplit(url).hostname for url in urls] == ["broker", "broker-2"]
        assert {urlsplit(url).username for url in urls} == {f"colobus-{service.replace('_', '-')}"}
        if access.schema:
            dsn = urlsplit((folder / service / "database_dsn").read_text().strip())
            assert (dsn.username, dsn.query) == (service, "sslmode=verify-full")


def test_no_folder_holds_a_secret_of_another(settings: AdminSettings, tmp_path: Path) -> None:
    """Passwords appear with their owner and with the admin step only."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    for path in (folder / "credentials").glob("*.*"):
        secret, owner = path.read_text().strip(), path.name.partition(".")[0]
        holders = {
            file.parent.name
            for file in folder.rglob("*")
            if file.is_file() and secret in file.read_text()
        } - {"credentials", "admin"}
        expected = {
            "master": {"front_door", "webhook_worker"},
            "chap": {"baremetal_worker", "iscsi_worker"},
            "administrator": {"broker"} if path.suffix == ".amqp" else {"database"},
            "erlang": {"broker"},
            "ci-bigtop": set(),
        }
        assert holders == expected.get(owner, {owner}), path.name


def test_only_the_owner_of_the_folder_can_enter_it(settings: AdminSettings, tmp_path: Path) -> None:
    """Files are readable for the user of a container, behind a door that is closed on the host."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "scheduler" / "amqp_urls").stat().st_mode) == 0o444


def test_exporting_again_changes_no_secret(settings: AdminSettings, tmp_path: Path) -> None:
    """It may be run at any time; a new password would lock everybody out."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    export(settings, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_there_is_room_for_what_the_operator_may_add(
    settings: AdminSettings, tmp_path: Path
) -> None:
    """Empty at first, for an engine mounts only what is there; then as the operator left it."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    urls, tls = folder / "notifications_urls", folder / "tls"
    assert urls.read_text() == ""
    assert list(tls.iterdir()) == list((folder / "ceph").iterdir()) == []
    urls.write_text("mycloud=amqps://listener:secret@broker.example.org")
    (tls / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    export(settings, folder)
    assert "listener" in urls.read_text()
    assert (tls / "ca.pem").exists()


def test_every_service_sees_the_folder_for_tls() -> None:
    """Read-only; the settings of colobus.env and clouds.yaml name files in it."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in ACCESS:
        (tls, *more) = services[service]["volumes"]
        assert tls == "${COLOBUS_SECRETS_DIR:-./secrets}/tls:/etc/colobus/tls:ro"
        ceph = ["${COLOBUS_SECRETS_DIR:-./secrets}/ceph:/etc/ceph:ro"]
        assert more == (ceph if service == "iscsi_worker" else [])
    worker = services["vm_worker"]
    assert worker["environment"]["COLOBUS_NOTIFICATIONS_URLS_FILE"].endswith("/notifications_urls")


def test_no_service_is_told_to_trust_whoever_answers(
    settings: AdminSettings, tmp_path: Path
) -> None:
    """The services' DSNs are made of the administrator's."""
    lax = Secret(settings.admin_database_dsn.replace("verify-full", "require"))
    with pytest.raises(ConfigurationError, match="COLOBUS_ADMIN_DATABASE_DSN: sslmode=require"):
        export(msgspec.structs.replace(settings, admin_database_dsn=lax), tmp_path / "secrets")


def test_the_admin_step_finds_the_administrators_passwords(
    settings: AdminSettings, tmp_path: Path
) -> None:
    """From the folder that its container sees; a password in the URL itself counts first."""
    with pytest.raises(ConfigurationError, match="administrator"):
        complete(settings)
    export(settings, tmp_path / "secrets")
    completed = complete(settings)
    kept = (tmp_path / "secrets/admin/administrator.amqp").read_text().strip()
    assert {urlsplit(url).password for url in completed.admin_amqp_url} == {kept}
    assert complete(completed) == completed


def test_compose_mounts_all_that_is_exported_and_nothing_else(
    settings: AdminSettings, tmp_path: Path
) -> None:
    """compose.yaml names each file once, for the service of its folder alone."""
    folder = tmp_path / "secrets"
    export(settings, folder)
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    named = {name: entry["file"].partition("}/")[2] for name, entry in compose["secrets"].items()}
    kept = {"credentials", "admin"}
    exported = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name not in kept
    }
    operators = {"tenants", "clouds", "stores", "metals", "metal_clouds", "cluster_templates"}
    assert set(named.values()) == exported | {f"{name}.yaml" for name in operators}
    for service in ACCESS:
        given = compose["services"][service]["secrets"]
        used = {named[one if isinstance(one, str) else one["source"]] for one in given}
        assert {path.partition("/")[0] for path in used if "/" in path} == {service}
