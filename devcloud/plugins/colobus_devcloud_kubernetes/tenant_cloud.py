"""How the tenant's cloud is reached on a cluster's behalf: what the driver left in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import openstack


@dataclass(frozen=True)
class Login:
    """An application credential of the cluster's owner, for the cluster's project alone."""

    auth_url: str
    region: str
    credential_id: str
    secret: str
    #: What floating IPs are of: its name or id, as the cluster's template has it.
    external_network: str


def connect(login: Login) -> Any:
    """Return openstacksdk's connection."""
    return openstack.connect(
        auth_type="v3applicationcredential",
        auth={
            "auth_url": login.auth_url,
            "application_credential_id": login.credential_id,
            "application_credential_secret": login.secret,
        },
        region_name=login.region,
        load_envvars=False,
        load_yaml_config=False,
    )
