"""Where the client finds its server and credentials: options, environment, clouds.yaml.

Source of the file's places and form: openstacksdk's "Configuring OpenStack SDK applications".
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from colobus.credentials import BearerToken, Credentials, KeystoneToken, keystone_login
from colobus.errors import ColobusError, CredentialsError

URL = "COLOBUS_URL"
CA_FILE = "COLOBUS_CA_FILE"
TOKEN = "COLOBUS_TOKEN"  # noqa: S105 - a variable's name
PLACES = (Path(), Path("~/.config/openstack"), Path("/etc/openstack"))


def find_url(given: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the front door's address: what was given, else ``COLOBUS_URL``."""
    url = given or environ.get(URL)
    if not url:
        raise CredentialsError(f"which Colobus? Set {URL} or give --url")
    return url


def find_trust(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """Return whom to believe at https: whom the system trusts, and who is in ``COLOBUS_CA_FILE``.

    True stands for the system's alone. Raises `ColobusError` when that file can't be used.
    """
    own = environ.get(CA_FILE)
    if not own:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(own)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ColobusError(f"{CA_FILE}: {own} can't be used: {why}") from error
    return context


def find_credentials(
    *,
    token: str | None = None,
    os_cloud: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """Return the first there is: a token, a named cloud, the environment's COLOBUS_TOKEN, OS_*.

    Raises `CredentialsError` when there are none, or what is there is incomplete.
    """
    if token:
        return BearerToken(token)
    if os_cloud:
        return keystone_login(_cloud(os_cloud, environ))
    if environ.get(TOKEN):
        return BearerToken(environ[TOKEN])
    if environ.get("OS_CLOUD"):
        return keystone_login(_cloud(environ["OS_CLOUD"], environ))
    if environ.get("OS_TOKEN"):
        return KeystoneToken(environ["OS_TOKEN"])
    if environ.get("OS_AUTH_URL"):
        names = {name[3:].lower(): value for name, value in environ.items() if name[:3] == "OS_"}
        return keystone_login(names)
    raise CredentialsError(f"no credentials: set {TOKEN}, or OS_CLOUD, or OS_AUTH_URL and its like")


def _cloud(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    entry = _merged(_read("clouds", environ), _read("secure", environ)).get(name)
    if not isinstance(entry, dict):
        raise CredentialsError(f"no clouds.yaml knows the cloud {name!r}")
    auth = entry.get("auth") or {}
    return {str(key): str(value) for key, value in auth.items() if value is not None}


def _read(stem: str, environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get("OS_CLIENT_CONFIG_FILE" if stem == "clouds" else "OS_CLIENT_SECURE_FILE")
    places = [Path(named)] if named else [place / f"{stem}.yaml" for place in PLACES]
    for place in places:
        try:
            content = yaml.safe_load(place.expanduser().read_text())
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError) as error:
            raise CredentialsError(f"{place} can't be read: {error}") from error
        clouds = content.get("clouds") if isinstance(content, dict) else None
        if not isinstance(clouds, dict):
            raise CredentialsError(f"{place} has no clouds in it")
        return clouds
    return {}


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both and isinstance(old, dict) else value
    return merged
