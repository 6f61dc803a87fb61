"""People come with Keystone's tokens: the project is the tenant, the roles decide."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.cloud import Cloud
from tests.support.installation import Installation

BODY = {"image": "debian-12", "flavor": "nothing-is-made", "deadline": "not a number"}


async def _call(colobus: Installation, token: str, method: str, body: object = None) -> int:
    headers = {"X-Auth-Token": token}
    async with (
        aiohttp.ClientSession(colobus.url, headers=headers) as session,
        session.request(method, "/v1/vms", json=body) as response,
    ):
        return response.status


@pytest.mark.parametrize(
    ("user", "reads", "writes"), [("alice", 200, 422), ("bob", 200, 422), ("carol", 200, 403)]
)
async def test_roles_decide(
    colobus: Installation, cloud: Cloud, user: str, reads: int, writes: int
) -> None:
    """Members may ask (here: badly, so that nothing is made), readers may only look."""
    token = cloud.connect(user).authorize()
    assert await _call(colobus, token, "GET") == reads
    refused = await _call(colobus, token, "POST", BODY)
    assert refused == writes or (writes == 422 and refused == 400)


async def test_a_token_of_no_tenant_or_no_token_is_refused(
    colobus: Installation, cloud: Cloud
) -> None:
    """A valid token of a project that is no tenant opens nothing; nor does a made-up one."""
    stranger = cloud.connect("devcloud-admin").authorize()
    assert await _call(colobus, stranger, "GET") in {401, 403}
    assert await _call(colobus, "made-up", "GET") == 401
