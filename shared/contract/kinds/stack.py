"""Stacks."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.contract.kinds.common import LeaseRequest
from shared.contract.kinds.fields import (
    CallbackUrl,
    CloudName,
    Labels,
    MakingSeconds,
    Name,
    ParameterName,
    StackSeconds,
    TemplateText,
)


class StackSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What Heat makes of a ``template`` (HOT, as text or as an object), or of one by its name.

    ``hidden_parameters`` are those that the template marks ``hidden``; they are write-only: sealed
    at the door and never shown. After ``timeout`` Heat gives the making up.
    """

    template: TemplateText | dict[str, Any] | None = None
    template_name: CloudName | None = None
    parameters: Annotated[dict[ParameterName, Any], Meta(max_length=200)] = {}
    hidden_parameters: (
        Annotated[dict[ParameterName, Any], Meta(min_length=1, max_length=200)] | None
    ) = None
    timeout: StackSeconds | None = None

    def __post_init__(self) -> None:
        if (self.template is None) == (self.template_name is None):
            raise ValueError("Name either template or template_name, and not both.")


class CreateStack(
    StackSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/stacks``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class StackChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a stack can change in place; parameters that are not named stay as they are."""

    template: TemplateText | dict[str, Any] | None = None
    template_name: CloudName | None = None
    parameters: Annotated[dict[ParameterName, Any], Meta(max_length=200)] | None = None
    hidden_parameters: (
        Annotated[dict[ParameterName, Any], Meta(min_length=1, max_length=200)] | None
    ) = None

    def __post_init__(self) -> None:
        if self.template is not None and self.template_name is not None:
            raise ValueError("Name either template or template_name, not both.")


class UpdateStack(
    StackChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/stacks/{id}``: Heat changes the living stack to what it says."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None
