"""Where and who: options, COLOBUS_*, OS_* and clouds.yaml, in that order."""

from __future__ import annotations

from pathlib import Path

import pytest

from colobus.config import find_credentials, find_url
from colobus.credentials import BearerToken, KeystoneLogin, KeystoneToken
from colobus.errors import CredentialsError

OS = {
    "OS_AUTH_URL": "http://keystone:5000",
    "OS_USERNAME": "alice",
    "OS_PASSWORD": "secret",
    "OS_PROJECT_NAME": "bigtop",
    "OS_USER_DOMAIN_NAME": "people",
}
ALICE = {
    "identity": {
        "methods": ["password"],
        "password": {"user": {"name": "alice", "password": "secret", "domain": {"name": "people"}}},
    },
    "scope": {"project": {"name": "bigtop", "domain": {"id": "default"}}},
}
CLOUDS = """
clouds:
  lab:
    auth:
      auth_url: http://keystone:5000/v3
      username: alice
      user_domain_name: people
      project_name: bigtop
  application:
    auth:
      auth_url: http://keystone:5000/v3
      application_credential_id: a1
      application_credential_secret: secret
"""


def test_the_environment_logs_in_to_keystone() -> None:
    """OS_* make the request of the Identity API; the version is added to the address."""
    login = find_credentials(environ=OS)
    assert isinstance(login, KeystoneLogin)
    assert (login.auth_url, login.auth) == ("http://keystone:5000/v3", ALICE)
    assert "secret" not in repr(login)


def test_a_named_cloud_is_read_with_its_password_kept_apart(tmp_path: Path) -> None:
    """secure.yaml is laid over clouds.yaml."""
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    (tmp_path / "secure.yaml").write_text("clouds: {lab: {auth: {password: secret}}}")
    environ = {
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"),
        "OS_CLIENT_SECURE_FILE": str(tmp_path / "secure.yaml"),
    }
    login = find_credentials(os_cloud="lab", environ=environ)
    assert isinstance(login, KeystoneLogin)
    assert login.auth == ALICE
    application = find_credentials(os_cloud="application", environ=environ)
    assert isinstance(application, KeystoneLogin)
    assert application.auth["identity"]["methods"] == ["application_credential"]
    assert "scope" not in application.auth


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"COLOBUS_TOKEN": "t", **OS}, BearerToken),
        ({"OS_TOKEN": "t", **OS}, KeystoneToken),
        (OS, KeystoneLogin),
    ],
)
def test_the_first_credentials_there_are_count(environ: dict[str, str], kind: type) -> None:
    """A Colobus token goes before Keystone."""
    assert isinstance(find_credentials(environ=environ), kind)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "COLOBUS_TOKEN"),
        ({"OS_AUTH_URL": "http://k"}, "username, password, project_name"),
        ({"OS_CLOUD": "no-such"}, "'no-such'"),
        ({"OS_CLOUD": "x", "OS_CLIENT_CONFIG_FILE": "/proc/self/mem"}, "can't be read"),
    ],
)
def test_missing_credentials_are_named(environ: dict[str, str], said: str) -> None:
    """Whoever reads the error knows what to set."""
    with pytest.raises(CredentialsError, match=said):
        find_credentials(environ=environ)


def test_a_missing_address_is_named() -> None:
    """There is no default Colobus."""
    with pytest.raises(CredentialsError, match="COLOBUS_URL"):
        find_url(environ={})
