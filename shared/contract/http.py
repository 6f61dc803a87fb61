"""Bodies of the HTTP interface that are not resources themselves: pages, timelines, webhooks.

Front door and client share these; what a query answers (quota, capacity, catalog, deliveries) is
served in the form of its message (`shared.contract.messages`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.contract.messages import CloudCatalog, StoreCatalog, Webhook
from shared.contract.problems import Problem
from shared.contract.resources import Moment, Phase, Resource

#: The largest request, in bytes: a body at the front door, a message from a tenant on the bus.
MAX_BODY = 256 * 1024


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ResourcePage(_Body, frozen=True):
    """Resources, newest first; ``next`` is the cursor of the next page, absent on the last one."""

    items: tuple[Resource, ...]
    next: str | None = None


class TimelineEvent(_Body, frozen=True):
    """One entry of a timeline: the JSON of ``…/events``, and the data of a server-sent event.

    ``type`` is ``status`` (truth: ``resource`` is the resource as it then was, ``revision`` its
    revision) or ``progress`` (live only: ``event`` is the name of a worker's event such as
    VmBuildStarted, ``data`` its content). ``id`` is the server-sent event's id, on status only.
    """

    type: str
    resource_id: str
    at: Moment
    id: str | None = None
    revision: int | None = None
    phase: Phase | None = None
    event: str | None = None
    step: str | None = None
    attempt: int | None = None
    data: dict[str, Any] | None = None
    resource: Resource | None = None


class TimelinePage(_Body, frozen=True):
    """A part of a timeline, oldest first."""

    items: tuple[TimelineEvent, ...]
    next: str | None = None


class NewWebhook(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/webhooks``; empty ``phases`` and ``kinds`` mean all."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    phases: Annotated[tuple[Phase, ...], Meta(max_length=16)] = ()
    kinds: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    description: Annotated[str, Meta(max_length=255)] | None = None


class WebhookWithSecret(_Body, frozen=True):
    """The answer to making a subscription and to rotating its secret (``whsec_…``)."""

    webhook: Webhook
    secret: str


class CallbackSecret(_Body, frozen=True):
    """``GET /v1/callback-secret``: the key that signs deliveries to a ``callback_url``."""

    secret: str


class WebhookPage(_Body, frozen=True):
    """The tenant's subscriptions."""

    items: tuple[Webhook, ...]
    next: str | None = None


class Redelivery(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/webhooks/{id}/redeliver``: one delivery, or all failed ones."""

    delivery_id: str | None = None


class AttachmentCredentials(_Body, frozen=True):
    """``GET /v1/attachments/{id}/credentials``: where and as whom the initiator logs in.

    ``portals`` are ``address:port``, of which any will do.
    """

    target_iqn: str
    lun: int
    portals: tuple[str, ...]
    initiator_iqn: str
    chap_username: str
    chap_secret: str


class Kubeconfig(_Body, frozen=True):
    """``GET /v1/clusters/{id}/kubeconfig``: what kubectl and its like take, made for this answer.

    ``kubeconfig`` is YAML, with a private key in it; it opens the cluster until ``expires_at``.
    """

    kubeconfig: str
    api_address: str
    expires_at: Moment


class KindOffered(_Body, frozen=True):
    """A kind of resource: its path, its verbs, and its write-only fields.

    These are sealed to the key of ``opener`` among the ``sealing_public_keys``; it need not be the
    ``worker`` that has the kind in its hands. Without ``secrets`` there is none.
    """

    name: str
    path: str
    verbs: tuple[str, ...]
    worker: str
    secrets: tuple[str, ...]
    opener: str | None = None


class Catalog(_Body, frozen=True):
    """What can be asked for: of the clouds, and of the stores where there are any.

    ``problems`` are the faults of those that could not be asked. ``sealing_public_keys`` are for
    those who publish requests on the bus: {worker: base64}.
    """

    clouds: tuple[CloudCatalog, ...]
    kinds: tuple[KindOffered, ...]
    sealing_public_keys: dict[str, str]
    stores: tuple[StoreCatalog, ...] = ()
    problems: tuple[Problem, ...] = ()
