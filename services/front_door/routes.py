"""Every route of the front door, in one table: `ROUTES`. OpenAPI is generated from it too."""

from __future__ import annotations

from typing import Any

from services.front_door.http_handlers import (
    attachments,
    clusters,
    documents,
    events,
    information,
    reading,
    webhooks,
)
from services.front_door.kind_routes import kind_routes
from services.front_door.parameter_table import FILTERS, KEY, LAST_EVENT_ID, LINK, LOCATION, PAGE
from services.front_door.route import Handler, Route
from shared.contract import http, messages
from shared.contract.kinds import KINDS


def _route(method: str, path: str, handler: Handler, summary: str, **more: Any) -> Route:
    return Route(method, path, handler, getattr(handler, "__name__", path), summary, **more)


_WEBHOOKS = "/v1/webhooks"
_WEBHOOK = f"{_WEBHOOKS}/{{id}}"
_hooks: dict[str, Any] = {"tag": "webhooks"}
_hook: dict[str, Any] = {"tag": "webhooks", "faults": (404,)}
_info: dict[str, Any] = {"tag": "information"}
_open: dict[str, Any] = {"tag": "documents", "public": True}

# fmt: off
ROUTES: tuple[Route, ...] = (
    *(route for kind in KINDS.values() for route in kind_routes(kind)),

    _route("GET", "/v1/attachments/{id}/credentials", attachments.get_attachment_credentials,
           "What the initiator of an attachment logs in with", tag="attachments",
           answer=http.AttachmentCredentials, faults=(404, 409), writes=True),
    _route("GET", "/v1/clusters/{id}/kubeconfig", clusters.get_kubeconfig,
           "What opens a cluster, made for the asking", tag="clusters",
           answer=http.Kubeconfig, faults=(404, 409), writes=True),

    Route("GET", "/v1/resources", reading.list_resources(None), "list_resources",
          "List resources of all kinds, newest first", "resources",
          answer=http.ResourcePage, answer_headers=LINK, parameters=FILTERS),
    Route("GET", "/v1/events", events.events(None), "get_events",
          "The timeline of all that is yours: as JSON, or live from now on", "resources",
          answer=http.TimelinePage, answer_headers=LINK, parameters=(*PAGE, LAST_EVENT_ID),
          streams=True),

    _route("POST", _WEBHOOKS, webhooks.create_webhook, "Subscribe; the answer has the secret",
           body=http.NewWebhook, answer=http.WebhookWithSecret, status=201, parameters=(KEY,),
           answer_headers=LOCATION, writes=True, **_hooks),
    _route("GET", _WEBHOOKS, webhooks.list_webhooks, "List subscriptions",
           answer=http.WebhookPage, parameters=PAGE, **_hooks),
    _route("GET", _WEBHOOK, webhooks.get_webhook, "Show a subscription",
           answer=messages.Webhook, **_hook),
    _route("DELETE", _WEBHOOK, webhooks.delete_webhook, "End a subscription",
           status=204, writes=True, **_hook),
    _route("GET", f"{_WEBHOOK}/deliveries", webhooks.list_deliveries, "List deliveries",
           answer=messages.WebhookDeliveriesListed, parameters=PAGE, **_hook),
    _route("POST", f"{_WEBHOOK}/redeliver", webhooks.redeliver,
           "Send one delivery again, or all failed ones",
           body=http.Redelivery, body_optional=True, answer=messages.WebhookRedeliveryQueued,
           status=202, writes=True, **_hook),
    _route("POST", f"{_WEBHOOK}/rotate-secret", webhooks.rotate_secret,
           "Make a new secret; the old one signs along for a day",
           answer=http.WebhookWithSecret, writes=True, **_hook),
    _route("GET", "/v1/callback-secret", webhooks.callback_secret,
           "What signs deliveries to a callback_url",
           answer=http.CallbackSecret, writes=True, **_hooks),

    _route("GET", "/v1/quota", information.get_quota, "What you may hold, and hold",
           answer=messages.QuotaReported, **_info),
    _route("GET", "/v1/capacity", information.get_capacity, "What your clouds can take now",
           answer=messages.CapacityReported, **_info),
    _route("GET", "/v1/catalog", information.get_catalog, "What you can ask for",
           answer=http.Catalog, **_info),

    _route("GET", "/openapi.json", documents.openapi, "This document", **_open),
    _route("GET", "/asyncapi.json", documents.asyncapi, "The bus, as AsyncAPI", **_open),
    _route("GET", "/docs", documents.docs, "This document, for people",
           media_type="text/html", **_open),
    _route("GET", "/docs/{file}", documents.docs_file, "A part of the documentation page",
           media_type="text/plain", faults=(404,), **_open),
    _route("GET", "/", documents.home, "Leads to the documentation", status=302, **_open),
)
# fmt: on
