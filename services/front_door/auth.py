"""Who asks: a Keystone token's project, or the owner of a static bearer token."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.front_door.faults import forbidden, unauthorized
from services.front_door.keystone import Keystone
from shared.runtime.tenants import Tenant, Tenants

#: Keystone's roles (its default hierarchy): these may look …
READING_ROLES = frozenset({"reader", "member", "manager", "admin"})
#: … and these may also do.
WRITING_ROLES = frozenset({"member", "manager", "admin"})


@dataclass(frozen=True)
class Caller:
    """Who asks: the tenant's name, and whether more than reading is allowed.

    ``apps_anywhere``: as in the tenants file.
    """

    tenant: str
    may_write: bool
    apps_anywhere: bool = False


CALLER = web.RequestKey("caller", Caller)


class Authenticator:
    """Turns credentials into a `Caller`; a request may carry one kind of them."""

    def __init__(self, tenants: Tenants, keystone: Keystone) -> None:
        self._tenants = tenants
        self._keystone = keystone

    async def caller_of(self, request: web.Request) -> Caller:
        """Return who asks.

        Raises `RequestFault` 401 or 403, or `BackendUnavailable` when Keystone can't be asked.
        """
        keystone_tokens = request.headers.getall("X-Auth-Token", [])
        bearers = request.headers.getall("Authorization", [])
        if len(keystone_tokens) + len(bearers) > 1:
            raise unauthorized("Send one credential, not several.")
        if keystone_tokens:
            return await self._by_keystone(keystone_tokens[0])
        if bearers:
            return self._by_bearer(bearers[0])
        raise unauthorized("Send a Keystone token as X-Auth-Token, or Authorization: Bearer.")

    async def _by_keystone(self, token: str) -> Caller:
        scope = await self._keystone.scope_of(token)
        if scope is None:
            raise unauthorized("The Keystone token is not valid, or not any more.")
        if scope.project_id is None:
            raise forbidden("The Keystone token is not scoped to a project.")
        tenant = self._tenants.by_project(scope.cloud, scope.project_id)
        if tenant is None:
            raise forbidden("The project of the Keystone token is no tenant here.")
        if not scope.roles & READING_ROLES:
            raise forbidden("The Keystone token carries none of the roles reader, member, admin.")
        return _caller(tenant, may_write=bool(scope.roles & WRITING_ROLES))

    def _by_bearer(self, header: str) -> Caller:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorized("The Authorization header must be of the scheme Bearer.")
        found = self._tenants.by_token(token.strip())
        if found is None:
            raise unauthorized("The bearer token is not valid.")
        tenant, known = found
        return _caller(tenant, may_write=known.role == "member")


def _caller(tenant: Tenant, *, may_write: bool) -> Caller:
    return Caller(tenant.name, may_write, tenant.apps_anywhere)
