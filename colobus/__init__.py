"""The client of Colobus, the provisioning bus of a developer cloud."""

from colobus.client import Client
from colobus.errors import (
    ApiError,
    ColobusError,
    CredentialsError,
    NotAuthorized,
    NotFound,
    ResourceEnded,
    TryLater,
    Unreachable,
    WaitTimeout,
)
from colobus.models import (
    AttachmentCredentials,
    CreateAttachment,
    CreateMachine,
    CreateSnapshot,
    CreateStack,
    CreateVm,
    CreateVolume,
    LeaseRequest,
    NewWebhook,
    Phase,
    Resource,
)

__all__ = [
    "ApiError",
    "AttachmentCredentials",
    "Client",
    "ColobusError",
    "CreateAttachment",
    "CreateMachine",
    "CreateSnapshot",
    "CreateStack",
    "CreateVm",
    "CreateVolume",
    "CredentialsError",
    "LeaseRequest",
    "NewWebhook",
    "NotAuthorized",
    "NotFound",
    "Phase",
    "Resource",
    "ResourceEnded",
    "TryLater",
    "Unreachable",
    "WaitTimeout",
]
