"""The async client: every call of the HTTP interface, typed, and safe to repeat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from types import TracebackType
from typing import Self, TypedDict, Unpack
from urllib.parse import quote

import msgspec

from colobus import watching
from colobus.config import find_credentials, find_url
from colobus.credentials import Credentials
from colobus.errors import ColobusError, ResourceEnded, WaitTimeout
from colobus.models import (
    PLURALS,
    TERMINAL_PHASES,
    AttachmentCredentials,
    CapacityReported,
    Catalog,
    CreateApp,
    CreateAttachment,
    CreateCluster,
    CreateMachine,
    CreateSnapshot,
    CreateStack,
    CreateVm,
    CreateVolume,
    ExtendLease,
    Kubeconfig,
    LeaseRequest,
    Phase,
    QuotaReported,
    Resource,
    ResourcePage,
    TimelineEvent,
    TimelinePage,
    UpdateApp,
    UpdateCluster,
    UpdateResource,
    UpdateStack,
    UpdateVolume,
)
from colobus.streams import events_only, follow
from colobus.transport import Transport
from colobus.webhooks import Webhooks

CreateBody = (
    CreateVm
    | CreateMachine
    | CreateVolume
    | CreateSnapshot
    | CreateAttachment
    | CreateCluster
    | CreateApp
    | CreateStack
)
#: Body of a create → kind of resource.
KIND_OF: dict[type[CreateBody], str] = {
    CreateVm: "vm",
    CreateMachine: "machine",
    CreateVolume: "volume",
    CreateSnapshot: "snapshot",
    CreateAttachment: "attachment",
    CreateCluster: "cluster",
    CreateApp: "app",
    CreateStack: "stack",
}


class How(TypedDict, total=False):
    """How a create is sent (`Client.create`); ``wait`` is in seconds."""

    idempotency_key: str | None
    wait: float | None


class Client:
    """One Colobus, as one tenant.

        async with Client("http://…", token="…") as client:
            vm = await client.create_vm(CreateVm(image="debian", flavor="small"))
            vm = await client.wait(vm.id)

    ``retry_for``: seconds for which lost connections, 429 and 502-504 are tried again; ``on_retry``
    is told of each. Calls raise `colobus.errors.ColobusError` and nothing else.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        os_cloud: str | None = None,
        credentials: Credentials | None = None,
        retry_for: float = 60.0,
        timeout: float = 30.0,
        on_retry: Callable[[ColobusError], None] | None = None,
    ) -> None:
        who = credentials or find_credentials(token=token, os_cloud=os_cloud)
        self._transport = Transport(find_url(url), who, retry_for, timeout, on_retry)
        self.webhooks = Webhooks(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    # ---- making, reading, ending ----

    async def create(self, request: CreateBody, **how: Unpack[How]) -> Resource:
        """Ask for what ``request`` says, of whatever kind; return it as accepted, or see ``wait``.

        ``idempotency_key``: give your own to make a repeat after a crash of your program safe too.
        ``wait``: return it as it is when it is active or failed, or after so many seconds.
        """
        key, wait = how.get("idempotency_key"), how.get("wait")
        headers = {"Idempotency-Key": key} if key else {}
        if wait is not None:
            headers["Prefer"] = f"wait={int(wait)}"
        path = f"/v1/{PLURALS[KIND_OF[type(request)]]}"
        answer = await self._transport.request(
            "POST", path, body=request, headers=headers, wait=wait or 0
        )
        return answer.decoded(Resource)

    async def create_vm(self, request: CreateVm, **how: Unpack[How]) -> Resource:
        """Ask for a VM, as `create` does."""
        return await self.create(request, **how)

    async def create_machine(self, request: CreateMachine, **how: Unpack[How]) -> Resource:
        """Ask for a bare-metal machine, as `create` does."""
        return await self.create(request, **how)

    async def create_volume(self, request: CreateVolume, **how: Unpack[How]) -> Resource:
        """Ask for a volume, as `create` does."""
        return await self.create(request, **how)

    async def create_snapshot(self, request: CreateSnapshot, **how: Unpack[How]) -> Resource:
        """Ask for a snapshot of a volume, as `create` does."""
        return await self.create(request, **how)

    async def create_attachment(self, request: CreateAttachment, **how: Unpack[How]) -> Resource:
        """Ask for a volume to be offered to an initiator, as `create` does."""
        return await self.create(request, **how)

    async def create_cluster(self, request: CreateCluster, **how: Unpack[How]) -> Resource:
        """Ask for a Kubernetes cluster, as `create` does."""
        return await self.create(request, **how)

    async def create_app(self, request: CreateApp, **how: Unpack[How]) -> Resource:
        """Ask for a workload on a cluster, as `create` does."""
        return await self.create(request, **how)

    async def create_stack(self, request: CreateStack, **how: Unpack[How]) -> Resource:
        """Ask for a stack of a template, as `create` does."""
        return await self.create(request, **how)

    async def get(self, resource_id: str) -> Resource:
        """Return the resource as it is now."""
        return await watching.read(self._transport, path_of(resource_id))

    async def list(
        self,
        kind: str | None = None,
        *,
        phases: Collection[Phase | str] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Resource]:
        """Yield the tenant's resources of a kind (None: of all kinds), page by page."""
        query = [("phase", str(phase)) for phase in phases]
        query += [("label", f"{key}={value}") for key, value in (labels or {}).items()]
        query += [("limit", str(page_size))] if page_size else []
        path = f"/v1/{PLURALS[kind] if kind else 'resources'}"
        cursor: list[tuple[str, str]] = []
        while True:
            answer = await self._transport.request("GET", path, params=[*query, *cursor])
            page = answer.decoded(ResourcePage)
            for resource in page.items:
                yield resource
            if page.next is None:
                return
            cursor = [("cursor", page.next)]

    async def delete(self, resource_id: str, *, force: bool = False) -> Resource | None:
        """Ask for the end of a resource; None when the server says no more of it.

        ``force``: don't wait until the initiator of an attachment has logged out, or for the apps
        on a cluster, which then go with it.
        """
        query = {"force": "true"} if force else {}
        answer = await self._transport.request("DELETE", path_of(resource_id), params=query)
        return answer.decoded(Resource) if answer.body else None

    # ---- changing ----

    async def extend(self, resource_id: str, ttl: int) -> Resource:
        """Let the lease end ``ttl`` seconds from now."""
        return await self._post(f"{path_of(resource_id)}/extend", ExtendLease(ttl=ttl))

    async def update(
        self,
        resource_id: str,
        *,
        labels: dict[str, str] | None = None,
        lease_ttl: int | None = None,
    ) -> Resource:
        """Replace all labels, or the lease; None leaves what is there."""
        lease = None if lease_ttl is None else LeaseRequest(ttl=lease_ttl)
        return await self._patch(resource_id, UpdateResource(labels=labels, lease=lease))

    async def change_stack(self, stack_id: str, change: UpdateStack) -> Resource:
        """Have a stack changed in place; ``status.operations`` says how that goes."""
        return await self._patch(stack_id, change)

    async def grow(self, volume_id: str, size_gib: int) -> Resource:
        """Make a volume larger (GiB); ``status.operations`` says how that goes."""
        return await self._patch(volume_id, UpdateVolume(size_gib=size_gib))

    async def resize_cluster(self, cluster_id: str, node_count: int) -> Resource:
        """Let a cluster have so many workers; ``status.operations`` says how that goes."""
        return await self._patch(cluster_id, UpdateCluster(node_count=node_count))

    async def change_app(self, app_id: str, change: UpdateApp) -> Resource:
        """Roll out what ``change`` says; ``status.operations`` says how that goes."""
        return await self._patch(app_id, change)

    async def reboot(self, resource_id: str) -> Resource:
        """Reboot it; ``status.operations`` says how that goes."""
        return await self._post(f"{path_of(resource_id)}/reboot")

    async def stop(self, resource_id: str) -> Resource:
        """Power it off; ``status.operations`` says how that goes."""
        return await self._post(f"{path_of(resource_id)}/stop")

    async def start(self, resource_id: str) -> Resource:
        """Power it on; ``status.operations`` says how that goes."""
        return await self._post(f"{path_of(resource_id)}/start")

    # ---- using ----

    async def credentials(self, attachment_id: str) -> AttachmentCredentials:
        """Return what the initiator of an active attachment logs in with; keep it nowhere."""
        answer = await self._transport.request("GET", f"{path_of(attachment_id)}/credentials")
        return answer.decoded(AttachmentCredentials)

    async def kubeconfig(self, cluster_id: str) -> Kubeconfig:
        """Return what opens an active cluster, made for the asking; it has a private key in it."""
        answer = await self._transport.request("GET", f"{path_of(cluster_id)}/kubeconfig")
        return answer.decoded(Kubeconfig)

    # ---- following ----

    async def timeline(self, resource_id: str) -> AsyncIterator[TimelineEvent]:
        """Yield what has happened to a resource so far, oldest first."""
        path, cursor = f"{path_of(resource_id)}/events", dict[str, str]()
        while True:
            answer = await self._transport.request("GET", path, params=cursor)
            page = answer.decoded(TimelinePage)
            for event in page.items:
                yield event
            if page.next is None:
                return
            cursor = {"cursor": page.next}

    def events(
        self, resource_id: str | None = None, *, after: str | None = None
    ) -> AsyncGenerator[TimelineEvent, None]:
        """Yield live events of one resource to its end, or of all of the tenant for ever.

        After a lost connection it goes on where it was. ``after`` is the id of an event: go on
        after that one. Close it (`contextlib.aclosing`) when you leave early.
        """
        path = f"{path_of(resource_id)}/events" if resource_id else "/v1/events"
        return events_only(follow(self._transport, path, after))

    def watch(
        self, resource_id: str, until: Collection[Phase] = TERMINAL_PHASES
    ) -> AsyncGenerator[Resource, None]:
        """Yield the resource as it is, then at every change, up to a phase of ``until``."""
        return watching.watch(self._transport, path_of(resource_id), until)

    async def wait(
        self, resource_id: str, until: Phase | str = Phase.ACTIVE, *, timeout: float | None = None
    ) -> Resource:
        """Return the resource once it is in the phase ``until``.

        Raises `ResourceEnded` when it ends otherwise, `WaitTimeout` after ``timeout`` seconds.
        """
        wanted = Phase(until)
        ends = {wanted} if wanted is Phase.DELETED else {wanted, *TERMINAL_PHASES}
        resource: Resource | None = None
        try:
            async with (
                asyncio.timeout(timeout),
                contextlib.aclosing(self.watch(resource_id, ends)) as changes,
            ):
                async for resource in changes:  # noqa: B007 - the last one counts
                    pass
        except TimeoutError:
            raise WaitTimeout(resource or await self.get(resource_id)) from None
        if resource is None or resource.status.phase is not wanted:
            raise ResourceEnded(resource or await self.get(resource_id))
        return resource

    # ---- what there is ----

    async def quota(self) -> QuotaReported:
        """Return what the tenant may hold, and holds."""
        answer = await self._transport.request("GET", "/v1/quota")
        return answer.decoded(QuotaReported)

    async def capacity(self) -> CapacityReported:
        """Return what the tenant's clouds can take now."""
        answer = await self._transport.request("GET", "/v1/capacity")
        return answer.decoded(CapacityReported)

    async def catalog(self) -> Catalog:
        """Return what clouds and stores offer, and the problems of those that don't answer."""
        answer = await self._transport.request("GET", "/v1/catalog")
        return answer.decoded(Catalog)

    async def _patch(self, resource_id: str, body: msgspec.Struct) -> Resource:
        answer = await self._transport.request("PATCH", path_of(resource_id), body=body)
        return answer.decoded(Resource)

    async def _post(self, path: str, body: object = None) -> Resource:
        answer = await self._transport.request("POST", path, body=body)
        return answer.decoded(Resource)


def path_of(resource_id: str) -> str:
    """Return the path of a resource: its id says its kind; what has none known is asked for too."""
    kind, _, _ = resource_id.rpartition("-")
    return f"/v1/{PLURALS.get(kind, 'resources')}/{quote(resource_id, safe='')}"
