"""The network of a tenant that names none: made when missing, once, whoever comes first.

In this process all who need it wait for one maker. Replicas may still race: each looks again
after making, all sort what they find alike, and who lost takes its own away.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import Network, Router, Subnet, Taggable
from services.vm_worker.remembered import Remembered
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.duplicates import oldest_first
from shared.worker.errors import Conflict, NotFound, Refused
from shared.worker.marks import Marks

#: How long a network that was found whole is trusted to be, in seconds.
_TRUSTED = 300.0


@dataclass(frozen=True)
class Plan:
    """What a default network is. ``external_network`` names the one to route to, where several."""

    name: str = "colobus-default"
    cidr: str = "10.77.0.0/20"
    external_network: str | None = None


class DefaultNetworks:
    """The default network of each tenant on each cloud."""

    def __init__(self, plan: Plan, marks: Marks) -> None:
        self._plan = plan
        self._description = marks.description()
        self._tags = marks.tags()
        self._known: dict[tuple[str, str], Remembered[Network]] = {}

    async def of(self, project: Project) -> Network:
        """Return the project's default network, whole: with its subnet and its way out."""
        return await self._of(project).get("", lambda: self._ensure(project))

    def forget(self, project: Project) -> None:
        """It is not there any more, or not whole."""
        self._of(project).forget()

    async def settle(self, project: Project) -> None:
        """Look again, since there is a second one: who made it died before taking it away."""
        self.forget(project)
        await self.of(project)

    def _of(self, project: Project) -> Remembered[Network]:
        key = (project.cloud, project.tenant)
        return self._known.setdefault(key, Remembered(_TRUSTED))

    async def _ensure(self, project: Project) -> Network:
        try:
            network = await self._find(project) or await self._make(project)
            if not set(self._tags) <= set(network.tags):
                await project.network.complete_tags(Taggable.NETWORK, network.id, self._tags)
            subnet = await self._ensure_subnet(project, network)
            await self._ensure_way_out(project, network, subnet)
        except NotFound as error:  # somebody removed a part of it while we were at it
            raise TemporaryError(error.detail, reason=Reason.NETWORK_NOT_FOUND) from error
        return network

    async def _find(self, project: Project) -> Network | None:
        found = await project.network.networks(self._description)
        ours = [one for one in found if one.name == self._plan.name]
        # One that somebody has gone on with wins over one that was just made.
        ordered = oldest_first(ours, lambda network: not network.has_subnets)
        if len(ordered) > 1 and (whole := await self._with_way_out(project, ordered)):
            for loser in ordered:
                if loser.id != whole.id:
                    await self._remove_network(project, loser)
            return whole
        return ordered[0] if ordered else None

    async def _with_way_out(self, project: Project, networks: Sequence[Network]) -> Network | None:
        """The one of ours that the router leads to: it has room for one with our addresses."""
        for router in oldest_first(await project.network.routers(self._description)):
            for network in networks:
                if await project.network.has_interface(router.id, network.id):
                    return network
        return None

    async def _make(self, project: Project) -> Network:
        made = await project.network.create_network(
            self._plan.name, description=self._description, tags=self._tags
        )
        winner = await self._find(project) or made
        if winner.id != made.id:
            await self._remove_network(project, made)
        return winner

    async def _remove_network(self, project: Project, network: Network) -> None:
        with suppress(Conflict):  # somebody has begun to use it; it does no harm
            await project.network.delete_network(network.id)

    async def _ensure_subnet(self, project: Project, network: Network) -> Subnet:
        found = await project.network.subnets(network.id)
        if not found:
            try:
                return await project.network.create_subnet(
                    network.id,
                    self._plan.name,
                    self._plan.cidr,
                    description=self._description,
                    tags=self._tags,
                )
            except Refused:  # it overlaps with one that another replica has just made
                found = await project.network.subnets(network.id)
                if not found:
                    raise
        return found[0]

    async def _ensure_way_out(self, project: Project, network: Network, subnet: Subnet) -> None:
        externals = await project.network.external_networks()
        wanted = self._plan.external_network
        named = [one for one in externals if wanted in (None, one.name, one.id)]
        if not named:
            return  # a cloud without an outside
        ordered = oldest_first(await project.network.routers(self._description))
        for router in ordered:  # the first may be one that was left, with no way for us
            if await project.network.has_interface(router.id, network.id):
                for loser in ordered:
                    if loser.id != router.id:
                        await self._remove_router(project, loser)
                await self._complete(project, router)
                return
        router = await self._router(project, ordered, named[0])
        try:
            await project.network.add_router_interface(router.id, subnet.id)
        except Refused:  # another replica put it there first, or another network of ours
            if await project.network.has_interface(router.id, network.id):
                return
            ours = await project.network.networks(self._description)
            if await self._with_way_out(project, ours) is None:
                raise
            # Made in the same second, each replica may have taken its own for the first.
            detail = "Another worker has made the tenant's network at the same time."
            raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED) from None

    async def _complete(self, project: Project, router: Router) -> None:
        if not set(self._tags) <= set(router.tags):
            await project.network.complete_tags(Taggable.ROUTER, router.id, self._tags)

    async def _router(
        self, project: Project, ordered: Sequence[Router], external: Network
    ) -> Router:
        if ordered:
            await self._complete(project, ordered[0])
            return ordered[0]
        made = await project.network.create_router(
            self._plan.name, external.id, description=self._description, tags=self._tags
        )
        winner = oldest_first(await project.network.routers(self._description))[0]
        if winner.id != made.id:
            await self._remove_router(project, made)
        return winner

    async def _remove_router(self, project: Project, router: Router) -> None:
        with suppress(Conflict):  # somebody has begun to use it; it does no harm
            await project.network.delete_router(router.id)
