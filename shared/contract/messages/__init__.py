"""Every message on the bus, as frozen structs: the data of a CloudEvent (`shared.contract.codec`).

Commands are imperative, events are past tense, and each name is used all the way: its handler
is the same words in snake case. ``step`` and ``attempt`` travel in the envelope, not here.

One module for those who talk to each other; all are had from here, and codec, schemas and golden
files take `MESSAGES` whole. There is no logic in it.
"""

from __future__ import annotations

from shared.contract.messages.base import Message
from shared.contract.messages.queries import (
    CapacityReported,
    CloudCapacity,
    GetCapacity,
    GetQuota,
    QueryFailed,
    QuotaReported,
)
from shared.contract.messages.requests import RequestAccepted, RequestRefused, RequestSubmitted
from shared.contract.messages.status import ResourceStatusChanged
from shared.contract.messages.vms import (
    AssociateFloatingIp,
    ChangeVmPower,
    CloudCatalog,
    CloudNotificationsChanged,
    DeprovisionVm,
    FloatingIpAssociated,
    FloatingIpReleased,
    GetVmCatalog,
    InspectVms,
    PrepareVmPort,
    ProvisionVm,
    ReleaseFloatingIp,
    ReleaseVmPort,
    VmBuildStarted,
    VmCatalogReported,
    VmDeletionStarted,
    VmDeprovisioned,
    VmFlavor,
    VmInspection,
    VmInspectionFailed,
    VmObserved,
    VmPortPrepared,
    VmPortReleased,
    VmPowerChangeStarted,
)
from shared.contract.messages.webhooks import (
    CallbackSecretIssued,
    CreateWebhook,
    DeleteWebhook,
    GetCallbackSecret,
    GetWebhook,
    ListWebhookDeliveries,
    ListWebhooks,
    RedeliverWebhook,
    RotateWebhookSecret,
    Webhook,
    WebhookAttempt,
    WebhookDeleted,
    WebhookDeliveriesListed,
    WebhookDelivery,
    WebhookDisabled,
    WebhookRedeliveryQueued,
    WebhooksListed,
)
from shared.contract.messages.workers import (
    CensusTaken,
    CommandFailed,
    Holding,
    OrphanRemoved,
    RemoveOrphan,
    TakeCensus,
)

__all__ = [
    "MESSAGES",
    "AssociateFloatingIp",
    "CallbackSecretIssued",
    "CapacityReported",
    "CensusTaken",
    "ChangeVmPower",
    "CloudCapacity",
    "CloudCatalog",
    "CloudNotificationsChanged",
    "CommandFailed",
    "CreateWebhook",
    "DeleteWebhook",
    "DeprovisionVm",
    "FloatingIpAssociated",
    "FloatingIpReleased",
    "GetCallbackSecret",
    "GetCapacity",
    "GetQuota",
    "GetVmCatalog",
    "GetWebhook",
    "Holding",
    "InspectVms",
    "ListWebhookDeliveries",
    "ListWebhooks",
    "Message",
    "OrphanRemoved",
    "PrepareVmPort",
    "ProvisionVm",
    "QueryFailed",
    "QuotaReported",
    "RedeliverWebhook",
    "ReleaseFloatingIp",
    "ReleaseVmPort",
    "RemoveOrphan",
    "RequestAccepted",
    "RequestRefused",
    "RequestSubmitted",
    "ResourceStatusChanged",
    "RotateWebhookSecret",
    "TakeCensus",
    "VmBuildStarted",
    "VmCatalogReported",
    "VmDeletionStarted",
    "VmDeprovisioned",
    "VmFlavor",
    "VmInspection",
    "VmInspectionFailed",
    "VmObserved",
    "VmPortPrepared",
    "VmPortReleased",
    "VmPowerChangeStarted",
    "Webhook",
    "WebhookAttempt",
    "WebhookDeleted",
    "WebhookDeliveriesListed",
    "WebhookDelivery",
    "WebhookDisabled",
    "WebhookRedeliveryQueued",
    "WebhooksListed",
]


def _leaves(base: type[Message]) -> list[type[Message]]:
    return [leaf for child in base.__subclasses__() for leaf in (child, *_leaves(child))]


#: Message name → type: every struct that travels on its own, and the parts they are made of.
MESSAGES: dict[str, type[Message]] = {message.__name__: message for message in _leaves(Message)}
