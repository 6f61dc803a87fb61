"""The public types of Colobus. Generated from shared/contract by `make models`; don't edit."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta


class OpenEnum(enum.StrEnum):
    """An enumeration that keeps words it doesn't know: a newer server may say more."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member


class Reason(OpenEnum):
    """Why a resource waits, is held up, or failed: a fixed vocabulary, part of the contract."""

    QUOTA_EXCEEDED = "quota_exceeded"
    NO_CAPACITY = "no_capacity"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_TIMEOUT = "backend_timeout"
    NO_VALID_HOST = "no_valid_host"
    BUILD_FAILED = "build_failed"
    IMAGE_NOT_FOUND = "image_not_found"
    FLAVOR_NOT_FOUND = "flavor_not_found"
    NETWORK_NOT_FOUND = "network_not_found"
    SECURITY_GROUP_NOT_FOUND = "security_group_not_found"
    ADDRESSES_EXHAUSTED = "addresses_exhausted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    LEASE_EXPIRED = "lease_expired"
    DELETE_REQUESTED = "delete_requested"
    REMOVED_EXTERNALLY = "removed_externally"
    SERVER_ERROR = "server_error"
    SECRET_UNREADABLE = "secret_unreadable"
    COMMAND_EXPIRED = "command_expired"
    COMMAND_REJECTED = "command_rejected"
    WRONG_PHASE = "wrong_phase"
    NO_CLOUD = "no_cloud"


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bad field of a request (RFC 9457 §3, extension member ``errors``).

    ``pointer`` is a JSON Pointer into the body (RFC 6901), ``parameter`` the name of a query
    parameter or header when the fault isn't in the body.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details, with ``retryable``: whether the same request may succeed later.

    ``detail`` carries the backend's own words where there are any. ``reason`` is the
    machine-readable cause (a `Reason` for resources, a short slug for HTTP faults).
    """

    title: str
    type: str = "about:blank"
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    reason: str | None = None
    retryable: bool = False
    errors: tuple[FieldError, ...] = ()


class Phase(OpenEnum):
    """Where a resource is in its life; every path ends in active, failed or deleted."""

    REQUESTED = "requested"
    WAITING = "waiting"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    DEPROVISIONING = "deprovisioning"
    DELETED = "deleted"
    FAILED = "failed"


TERMINAL_PHASES = frozenset({Phase.DELETED, Phase.FAILED})

HOLDING_PHASES = frozenset({Phase.PROVISIONING, Phase.ACTIVE, Phase.DEPROVISIONING})


class StepState(OpenEnum):
    """The state of one named step. ``retrying`` waits for its next attempt."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class OperationState(OpenEnum):
    """The state of a verb on a living resource."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Verb(OpenEnum):
    """What a request asks for."""

    CREATE = "create"
    DELETE = "delete"
    EXTEND = "extend"
    UPDATE = "update"
    REBOOT = "reboot"
    STOP = "stop"
    START = "start"


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Step(_Record, frozen=True):
    """One step of the workflow as the requester sees it, with its times (RFC 3339, UTC)."""

    name: str
    worker: str
    state: StepState
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Problem | None = None


class Operation(_Record, frozen=True):
    """A verb on a living resource (reboot, stop, start); it doesn't change the phase."""

    id: str
    verb: Verb
    state: OperationState
    requested_at: datetime | None = None
    finished_at: datetime | None = None
    error: Problem | None = None


class Queue(_Record, frozen=True):
    """The place in the queue while waiting: 1 is next; ``estimated_start`` where it can be told."""

    position: int
    estimated_start: datetime | None = None


class Placement(_Record, frozen=True):
    """Where a resource was placed, and why there: one line of explanation per candidate."""

    cloud: str
    explanation: tuple[str, ...] = ()


class Lease(_Record, frozen=True):
    """How long a resource lives: ``ttl`` seconds from ``active`` (or from the last extension)."""

    ttl: int
    expires_at: datetime | None = None


class Status(_Record, frozen=True):
    """What became of the request."""

    phase: Phase
    reason: Reason | None = None
    message: str | None = None
    steps: tuple[Step, ...] = ()
    operations: tuple[Operation, ...] = ()
    outputs: dict[str, Any] = {}
    error: Problem | None = None
    placement: Placement | None = None
    queue: Queue | None = None


class Resource(_Record, frozen=True):
    """A resource. ``spec`` is the kind's struct as JSON (`shared.contract.kinds`), without secrets.

    ``revision`` grows by one with every change and is the ``sequence`` of its status messages.
    """

    id: str
    kind: str
    tenant: str
    spec: dict[str, Any]
    status: Status
    created_at: datetime
    updated_at: datetime
    revision: int
    name: str | None = None
    labels: dict[str, str] = {}
    lease: Lease | None = None
    deadline: int | None = None


Name = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
        description="1-63 letters, digits, '.', '_', '-'; first and last a letter or digit",
    ),
]

LabelKey = Annotated[str, Meta(pattern="^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]

LabelValue = Annotated[str, Meta(max_length=255)]

CloudName = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[^\\x00-\\x1f\\x7f]+$")]

SshKey = Annotated[
    str,
    Meta(
        max_length=16384,
        pattern="^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\\.com) [A-Za-z0-9+/=]+( [^\\r\\n]*)?$",
        description="one OpenSSH public key, as in authorized_keys",
    ),
]

Seconds = Annotated[int, Meta(ge=1, le=30 * 86400, description="seconds, 1 s to 30 days")]


class VmSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A virtual machine. ``user_data`` is write-only: it is sealed at the door and never shown."""

    image: CloudName
    flavor: CloudName
    network: CloudName | None = None
    floating_ip: bool = False
    ssh_keys: Annotated[tuple[SshKey, ...], Meta(max_length=64)] = ()
    user_data: Annotated[str, Meta(min_length=1, max_length=49152)] | None = None
    security_groups: Annotated[tuple[CloudName, ...], Meta(max_length=32)] = ()
    arch: Annotated[str, Meta(pattern="^[a-z0-9_]{1,32}$")] | None = None


class LeaseRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How long the resource may live, in seconds."""

    ttl: Seconds


class CreateVm(VmSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/vms``: the spec and what all kinds have, side by side."""

    name: Name | None = None
    labels: Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)] = {}
    lease: LeaseRequest | None = None
    deadline: Annotated[int, Meta(ge=1, le=86400, description="seconds for the making")] | None = (
        None
    )
    callback_url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None


class UpdateResource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/vms/{id}``: what can change in place. ``labels`` replaces them all."""

    labels: Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)] | None = None
    lease: LeaseRequest | None = None


class ExtendLease(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST …/extend``: the lease then ends ``ttl`` seconds from now."""

    ttl: Seconds


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all messages. Unknown fields are tolerated: parts may be upgraded apart."""


class ResourceStatusChanged(Message, frozen=True):
    """The resource as it now is. ``callback_url`` travels in every status of a resource with one.

    ``previous_phase`` lets a reader tell a change of phase from a change within it.
    """

    resource: Resource
    previous_phase: Phase | None = None
    callback_url: str | None = None


class QuotaReported(Message, frozen=True):
    """``limits`` and ``used``: {quota name: amount}; ``waiting`` counts what is not yet admitted."""

    limits: dict[str, int]
    used: dict[str, int]
    waiting: int


class CloudCapacity(Message, frozen=True):
    """One cloud: builds under way, how many at once at most, and recent failures."""

    cloud: str
    building: int
    limit: int
    recent_failures: int


class CapacityReported(Message, frozen=True):
    """The clouds that the tenant may use, and how many requests wait (of all tenants)."""

    clouds: tuple[CloudCapacity, ...]
    waiting: int


class VmFlavor(Message, frozen=True):
    """A flavor: virtual CPUs, memory in MiB, root disk in GiB."""

    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


class CloudCatalog(Message, frozen=True):
    """What one cloud offers the tenant, by name."""

    cloud: str
    images: tuple[str, ...]
    flavors: tuple[VmFlavor, ...]
    networks: tuple[str, ...]
    security_groups: tuple[str, ...]


class VmCatalogReported(Message, frozen=True):
    """The clouds' offers, and the faults of those that could not be asked."""

    clouds: tuple[CloudCatalog, ...]
    problems: tuple[Problem, ...] = ()


class Webhook(Message, frozen=True):
    """A subscription as shown to its owner. ``sealed_secret`` only in the answer to its making."""

    id: str
    url: str
    created_at: datetime
    phases: tuple[Phase, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str | None = None
    resource_id: str | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    sealed_secret: str | None = None


class WebhookAttempt(Message, frozen=True):
    """One try: the HTTP status, or the error when there was none."""

    at: datetime
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None


class WebhookDelivery(Message, frozen=True):
    """One message to one endpoint. ``state``: pending, delivered, failed, cancelled."""

    id: str
    webhook_id: str
    resource_id: str
    sequence: int
    state: str
    created_at: datetime
    next_attempt_at: datetime | None = None
    attempts: tuple[WebhookAttempt, ...] = ()


class WebhookDeliveriesListed(Message, frozen=True):
    """A page of deliveries; ``next`` continues it."""

    deliveries: tuple[WebhookDelivery, ...]
    next: str | None = None


#: Kind of resource → the word for it in paths.
PLURALS: dict[str, str] = {"vm": "vms"}
