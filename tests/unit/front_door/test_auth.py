"""Who asks, and what the tenants file lets them."""

from __future__ import annotations

import hashlib
from typing import cast

import pytest
from aiohttp.test_utils import make_mocked_request

from services.front_door.auth import Authenticator, Caller
from services.front_door.keystone import Keystone
from shared.runtime.tenants import Role, Tenant, Tenants, Token


@pytest.mark.parametrize("anywhere", [True, False])
@pytest.mark.parametrize(("role", "may_write"), [("member", True), ("reader", False)])
async def test_a_token_is_its_tenants(role: Role, may_write: bool, anywhere: bool) -> None:
    """With the role of the token, and what its apps may be."""
    token = Token(name="ci", sha256=hashlib.sha256(b"open sesame").hexdigest(), role=role)
    tenant = Tenant(
        name="bigtop", projects={"devcloud": "p"}, tokens=(token,), apps_anywhere=anywhere
    )
    door = Authenticator(Tenants({"bigtop": tenant}), cast(Keystone, None))
    request = make_mocked_request("GET", "/v1/apps", {"Authorization": "Bearer open sesame"})
    assert await door.caller_of(request) == Caller("bigtop", may_write, anywhere)
