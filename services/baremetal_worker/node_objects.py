"""Ironic's objects as we see them, and its words for what states they are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The provision states that we tell apart (Ironic, "Bare Metal State Machine")."""

    ENROLL = "enroll"
    VERIFYING = "verifying"
    MANAGEABLE = "manageable"
    AVAILABLE = "available"
    DEPLOYING = "deploying"
    DEPLOY_WAIT = "wait call-back"
    DEPLOY_FAILED = "deploy failed"
    ACTIVE = "active"
    DELETING = "deleting"
    CLEANING = "cleaning"
    CLEAN_WAIT = "clean wait"
    CLEAN_FAILED = "clean failed"
    ERROR = "error"
    RESCUE = "rescue"
    RESCUE_FAILED = "rescue failed"
    UNRESCUE_FAILED = "unrescue failed"


class Verb(StrEnum):
    """What a node's provision state may be asked to become."""

    ACTIVE = "active"
    DELETED = "deleted"
    MANAGE = "manage"
    PROVIDE = "provide"


class Power(StrEnum):
    """Power states, and what they may be asked to become."""

    ON = "power on"
    OFF = "power off"
    SOFT_OFF = "soft power off"
    REBOOT = "rebooting"


@dataclass(frozen=True)
class Node:
    """A node. ``instance_id`` is the id of the allocation that has it; ``extra`` is free to use."""

    id: str
    name: str
    provision_state: str
    power_state: str | None = None
    target_power_state: str | None = None
    resource_class: str | None = None
    traits: frozenset[str] = frozenset()
    instance_id: str | None = None
    maintenance: bool = False
    maintenance_reason: str = ""
    #: Why Ironic itself has put it in maintenance, such as "power failure"; it may take it out.
    fault: str | None = None
    last_error: str = ""
    storage_interface: str | None = None
    network_interface: str | None = None
    has_instance_info: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_networks(self) -> bool:
        """Whether its cards can be ports; Ironic's ``noop`` keeps none, and shows none."""
        return self.network_interface != "noop"


@dataclass(frozen=True)
class Allocation:
    """A reservation of a node under a name that nobody else has."""

    id: str
    name: str
    state: str
    node_id: str | None = None
    last_error: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewAllocation:
    """What is reserved: any node of the class that has all the traits."""

    name: str
    resource_class: str
    traits: tuple[str, ...]
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class Connector:
    """The name by which a node logs in to targets."""

    id: str
    node_id: str
    initiator_iqn: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What a node boots from; of its account only the name is ever shown."""

    id: str
    node_id: str
    volume_id: str
    boot_index: int
    iqn: str = ""
    lun: int | None = None
    portal: str = ""
    username: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
