"""Errors as the public may read them: RFC 9457 problem details, and the vocabulary of reasons."""

from __future__ import annotations

import enum
from typing import Self

import msgspec


class OpenEnum(enum.StrEnum):
    """An enumeration that keeps words it doesn't know: whoever is newer may say more."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[type[Self], tuple[str]]:
        # Copied and pickled by its word: by name, as Python 3.11 does, unknown ones can't be.
        return type(self), (self._value_,)


class Reason(OpenEnum):
    """Why a resource waits, is held up, or failed: a vocabulary that grows; keep unknown words."""

    QUOTA_EXCEEDED = "quota_exceeded"
    NO_CAPACITY = "no_capacity"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_TIMEOUT = "backend_timeout"
    NO_VALID_HOST = "no_valid_host"
    BUILD_FAILED = "build_failed"
    TEMPLATE_INVALID = "template_invalid"
    TEMPLATE_NOT_FOUND = "template_not_found"
    STACK_FAILED = "stack_failed"
    VERSION_NOT_FOUND = "version_not_found"
    CLUSTER_FAILED = "cluster_failed"
    HAS_APPS = "has_apps"
    CLUSTER_NOT_READY = "cluster_not_ready"
    CLUSTER_DEGRADED = "cluster_degraded"
    MANIFEST_INVALID = "manifest_invalid"
    UNSCHEDULABLE = "unschedulable"
    IMAGE_PULL_FAILED = "image_pull_failed"
    ROLLOUT_FAILED = "rollout_failed"
    APP_NOT_READY = "app_not_ready"
    APP_DEGRADED = "app_degraded"
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
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a reason, not a secret
    COMMAND_EXPIRED = "command_expired"
    COMMAND_REJECTED = "command_rejected"
    WRONG_PHASE = "wrong_phase"
    NO_CLOUD = "no_cloud"
    NO_STORE = "no_store"
    NO_METAL = "no_metal"
    NO_FREE_NODE = "no_free_node"
    DEPLOY_FAILED = "deploy_failed"
    NOT_BOOTED = "not_booted"
    NODE_MAINTENANCE = "node_maintenance"
    REFERENCE_NOT_FOUND = "reference_not_found"
    REFERENCE_NOT_READY = "reference_not_ready"
    VOLUME_NOT_FOUND = "volume_not_found"
    SNAPSHOT_NOT_FOUND = "snapshot_not_found"
    SIZE_TOO_SMALL = "size_too_small"
    IN_USE = "in_use"
    INITIATOR_LOGGED_IN = "initiator_logged_in"
    INTERNAL_ERROR = "internal_error"


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
